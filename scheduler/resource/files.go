package resource

import (
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"
)

// unlimited is where version 1 of memory groups writes "no limit": the largest
// number of whole pages. Anything near is no limit either.
const unlimited = math.MaxInt64 &^ 0xFFFFF

// parseCPUMax reads cpu.max, "quota period" in microseconds, and returns the
// CPUs that it allows. "max" allows any number.
func parseCPUMax(b []byte) (cores float64, ok bool) {
	quota, period, ok := strings.Cut(strings.TrimSpace(string(b)), " ")
	if !ok {
		period = "100000" // the kernel's default
	}
	return parseQuota([]byte(quota), []byte(period))
}

// parseQuota reads a quota and its period, each a number of microseconds in a
// file of its own in version 1. A quota that is no positive number is none.
func parseQuota(quota, period []byte) (cores float64, ok bool) {
	q, ok := parseNumber(quota)
	p, known := parseNumber(period)
	if !ok || !known || q <= 0 || p <= 0 {
		return 0, false
	}
	return float64(q) / float64(p), true
}

// parseNumber reads a file of one number. "max", a negative number and what
// version 1 writes for "no limit" are none.
func parseNumber(b []byte) (n int64, ok bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	return n, err == nil && n >= 0 && n < unlimited
}

// parseKeyed returns the number after a key in a file of "key number" lines.
func parseKeyed(b []byte, key string) (n int64, ok bool) {
	for line := range strings.Lines(string(b)) {
		name, value, found := strings.Cut(strings.TrimSpace(line), " ")
		if found && name == key {
			n, err := strconv.ParseInt(value, 10, 64)
			return n, err == nil && n >= 0
		}
	}
	return 0, false
}

// parsePressure returns the total of the "some" line of a pressure file:
// microseconds in which some task was stalled.
func parsePressure(b []byte) (micros int64, ok bool) {
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != "some" {
			continue
		}
		for _, f := range fields[1:] {
			if value, found := strings.CutPrefix(f, "total="); found {
				n, err := strconv.ParseInt(value, 10, 64)
				return n, err == nil && n >= 0
			}
		}
	}
	return 0, false
}

// reader reads files; one that cannot be read is empty, which no parser
// understands.
type reader struct{ fsys fs.FS }

func (r reader) read(dir, name string) []byte {
	b, err := fs.ReadFile(r.fsys, path.Join(dir, name))
	if err != nil {
		return nil
	}
	return b
}

// cpuLevel is a group with a CPU quota: what it has used and may use.
type cpuLevel struct {
	cores     float64 // CPUs that the quota allows
	used      float64 // CPU seconds since the group began; -1 = unknown
	periods   int64   // scheduling periods since the group began
	throttled int64   // of them throttled
}

// cpuLevels reads every level of a hierarchy that has a quota. For version 1,
// accounting is the hierarchy of its accounting controller.
func (r reader) cpuLevels(h, accounting hierarchy) []cpuLevel {
	var levels []cpuLevel
	for i, dir := range h.dirs {
		l := cpuLevel{used: -1}
		var ok bool
		if h.version == 2 {
			l.cores, ok = parseCPUMax(r.read(dir, "cpu.max"))
		} else {
			l.cores, ok = parseQuota(r.read(dir, "cpu.cfs_quota_us"), r.read(dir, "cpu.cfs_period_us"))
		}
		if !ok {
			continue
		}
		stat := r.read(dir, "cpu.stat")
		l.periods, _ = parseKeyed(stat, "nr_periods")
		l.throttled, _ = parseKeyed(stat, "nr_throttled")
		if h.version == 2 {
			if micros, ok := parseKeyed(stat, "usage_usec"); ok {
				l.used = float64(micros) / 1e6
			}
		} else if len(accounting.dirs) == len(h.dirs) {
			if nanos, ok := parseNumber(r.read(accounting.dirs[i], "cpuacct.usage")); ok {
				l.used = float64(nanos) / 1e9
			}
		}
		levels = append(levels, l)
	}
	return levels
}

// memory returns the use over the limit at the level of a hierarchy where that
// is highest, and the lowest limit; false if no level has one below total.
func (r reader) memory(h hierarchy, total int64) (ratio float64, limit int64, ok bool) {
	for _, dir := range h.dirs {
		max, used := r.memoryLevel(h.version, dir)
		if max <= 0 || (total > 0 && max > total) {
			continue
		}
		if !ok || max < limit {
			limit = max
		}
		if share := float64(used) / float64(max); share > ratio {
			ratio = share
		}
		ok = true
	}
	return ratio, limit, ok
}

// memoryLevel returns a group's limit, 0 if it has none, and what it uses
// without inactive pages of files.
func (r reader) memoryLevel(version int, dir string) (limit, used int64) {
	files := memoryFiles[version]
	for _, name := range files.limits {
		if n, ok := parseNumber(r.read(dir, name)); ok && (limit == 0 || n < limit) {
			limit = n
		}
	}
	if limit == 0 {
		return 0, 0
	}
	used, _ = parseNumber(r.read(dir, files.usage))
	inactive, _ := parseKeyed(r.read(dir, "memory.stat"), files.inactive)
	return limit, max(used-inactive, 0)
}

// memoryFiles names the files by version of the groups.
var memoryFiles = [...]struct {
	limits          []string
	usage, inactive string
}{
	1: {[]string{"memory.limit_in_bytes"}, "memory.usage_in_bytes", "total_inactive_file"},
	2: {[]string{"memory.max", "memory.high"}, "memory.current", "inactive_file"},
}

// pressure returns the microseconds in which some task was stalled for want of
// a resource ("cpu", "memory"): of the group where that is known, else of the
// host.
func (r reader) pressure(h hierarchy, resource string) (micros int64, ok bool) {
	if h.version == 2 {
		if micros, ok := parsePressure(r.read(h.dirs[0], resource+".pressure")); ok {
			return micros, true
		}
	}
	return parsePressure(r.read("proc/pressure", resource))
}
