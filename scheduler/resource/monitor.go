package resource

import (
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"sync"
	"time"
)

// Options are the settings of a monitor.
type Options struct {
	// FS is the root of the file system. Default: the machine's.
	FS fs.FS
	// MinInterval is the shortest time between two measurements: a question
	// that comes earlier gets the last sample. Default 200ms; a ratio over a
	// shorter time is mostly the granularity of the kernel's clocks.
	MinInterval time.Duration
}

// Monitor measures. Safe for concurrent use: questions wait for a measurement
// that is being made. It starts nothing and need not be closed.
type Monitor struct {
	files    reader
	host     host
	interval time.Duration
	cores    float64 // GOMAXPROCS when the monitor was made
	total    int64   // bytes of memory of the host; 0 = unknown

	cpuGroup, accounting, memoryGroup hierarchy

	mu     sync.Mutex // guards the fields below
	last   counters
	sample Sample
}

// counters are totals whose differences make a sample.
type counters struct {
	at          time.Time // zero before the first measurement
	levels      []cpuLevel
	hostBusy    float64
	hostTotal   float64
	process     float64 // CPU seconds
	cpuStall    int64   // microseconds
	memoryStall int64
}

// New finds the group of this process and makes a first measurement, from
// which the next one differs.
func New(o Options) *Monitor {
	if o.FS == nil {
		o.FS = os.DirFS("/")
	}
	if o.MinInterval == 0 {
		o.MinInterval = 200 * time.Millisecond
	}
	return newMonitor(o, newMachine(), float64(runtime.GOMAXPROCS(0)))
}

func newMonitor(o Options, h host, cores float64) *Monitor {
	m := &Monitor{files: reader{o.FS}, host: h, interval: o.MinInterval, cores: cores}
	member := parseMembership(m.files.read("proc/self", "cgroup"))
	mounts := parseMounts(m.files.read("proc/self", "mountinfo"))
	m.cpuGroup = locate(member, mounts, "cpu")
	m.accounting = locate(member, mounts, "cpuacct")
	m.memoryGroup = locate(member, mounts, "memory")
	_, m.total, _ = h.memory()
	m.Sample()
	return m
}

// Sample measures, or returns the last sample if that is younger than the
// shortest interval. It costs a few tenths of a millisecond when it measures.
func (m *Monitor) Sample() Sample {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if !m.last.at.IsZero() && now.Sub(m.last.at) < m.interval {
		return m.sample
	}
	var s Sample
	next := m.count(now, &s)
	cpuSource := m.differences(&next, &s)
	memorySource := m.memory(&s)
	s.Source = fmt.Sprintf("cpu: %s, memory: %s", cpuSource, memorySource)
	m.last, m.sample = next, s
	return s
}

// count reads the totals, and into s what is no difference.
func (m *Monitor) count(now time.Time, s *Sample) counters {
	c := counters{at: now, levels: m.files.cpuLevels(m.cpuGroup, m.accounting)}
	c.hostBusy, c.hostTotal, _ = m.host.cpu()
	c.process, s.RSSBytes = m.host.process()
	c.cpuStall, _ = m.files.pressure(m.cpuGroup, "cpu")
	c.memoryStall, _ = m.files.pressure(m.memoryGroup, "memory")
	s.ProcessCPUSeconds = c.process
	s.CPUCores = m.cores
	for _, l := range c.levels {
		s.CPUCores = min(s.CPUCores, l.cores)
	}
	return c
}

// differences fills in what is a difference from the last totals, and returns
// the source of the CPU ratio.
func (m *Monitor) differences(next *counters, s *Sample) (source string) {
	last := &m.last
	seconds := next.at.Sub(last.at).Seconds()
	known := !last.at.IsZero() && seconds > 0
	limited := false
	for i, l := range next.levels {
		limited = limited || l.used >= 0
		if !known || i >= len(last.levels) {
			continue
		}
		before := last.levels[i]
		if l.used >= 0 && before.used >= 0 {
			s.CPURatio = max(s.CPURatio, share(l.used-before.used, seconds*min(l.cores, m.cores)))
		}
		s.Throttled = max(s.Throttled, share(float64(l.throttled-before.throttled), float64(l.periods-before.periods)))
	}
	source = "host"
	if limited {
		source = fmt.Sprintf("cgroup%d", m.cpuGroup.version)
	} else if known {
		s.CPURatio = share(next.hostBusy-last.hostBusy, next.hostTotal-last.hostTotal)
	}
	if known {
		s.CPURatio = max(s.CPURatio, share(next.process-last.process, seconds*m.cores))
		s.CPUPressure = share(float64(next.cpuStall-last.cpuStall)/1e6, seconds)
		s.MemoryPressure = share(float64(next.memoryStall-last.memoryStall)/1e6, seconds)
	}
	return source
}

// memory fills in the use of memory and returns its source.
func (m *Monitor) memory(s *Sample) (source string) {
	if group, limit, limited := m.files.memory(m.memoryGroup, m.total); limited {
		s.MemoryRatio, s.MemoryLimitBytes = min(group, 1), limit
		return fmt.Sprintf("cgroup%d", m.memoryGroup.version)
	}
	ratio, total, ok := m.host.memory()
	if !ok {
		return "unknown"
	}
	s.MemoryRatio, s.MemoryLimitBytes = min(max(ratio, 0), 1), total
	return "host"
}

// share is part over whole within 0..1; 0 where that is no number or a counter
// went backwards.
func share(part, whole float64) float64 {
	if !(whole > 0) || !(part > 0) {
		return 0
	}
	return min(part/whole, 1)
}
