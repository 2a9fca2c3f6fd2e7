package resource

import (
	"path"
	"strconv"
	"strings"
)

// maxLevels bounds how many ancestors of a group are looked at.
const maxLevels = 32

// membership is what /proc/self/cgroup says: the path of this process in each
// hierarchy, relative to the root of that hierarchy.
type membership struct {
	unified     string            // version 2; empty if there is none
	controllers map[string]string // version 1, by controller
}

// parseMembership reads /proc/self/cgroup. Lines that it does not understand
// are skipped.
func parseMembership(b []byte) membership {
	m := membership{controllers: map[string]string{}}
	for line := range strings.Lines(string(b)) {
		fields := strings.SplitN(strings.TrimRight(line, "\n"), ":", 3)
		if len(fields) != 3 || !strings.HasPrefix(fields[2], "/") {
			continue
		}
		if fields[0] == "0" && fields[1] == "" {
			m.unified = fields[2]
			continue
		}
		for controller := range strings.SplitSeq(fields[1], ",") {
			m.controllers[controller] = fields[2]
		}
	}
	return m
}

// mount is one line of /proc/self/mountinfo, as far as groups need it.
type mount struct {
	root    string   // directory of the file system that is the root of the mount
	point   string   // where it is mounted
	kind    string   // type of the file system
	options []string // of the file system, not of the mount
}

// parseMounts reads /proc/self/mountinfo (proc(5)). Lines that it does not
// understand are skipped.
func parseMounts(b []byte) []mount {
	var mounts []mount
	for line := range strings.Lines(string(b)) {
		before, after, ok := strings.Cut(strings.TrimRight(line, "\n"), " - ")
		head, tail := strings.Fields(before), strings.Fields(after)
		if !ok || len(head) < 6 || len(tail) < 3 {
			continue
		}
		mounts = append(mounts, mount{
			root: unescape(head[3]), point: unescape(head[4]), kind: tail[0],
			options: strings.Split(tail[2], ","),
		})
	}
	return mounts
}

// unescape resolves the octal escapes of mountinfo: \040 is a space.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if v, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(v))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// hierarchy is where the group of this process and its ancestors can be read.
type hierarchy struct {
	version int      // 1 or 2; 0 = none
	dirs    []string // the group's directory, then its ancestors'; without a leading slash
}

// locate finds the directories of this process' group for a controller. Where
// version 1 has the controller, that counts; else version 2 does.
func locate(m membership, mounts []mount, controller string) hierarchy {
	if group, ok := m.controllers[controller]; ok {
		for _, mt := range mounts {
			if mt.kind == "cgroup" && contains(mt.options, controller) {
				return hierarchy{version: 1, dirs: mt.levels(group)}
			}
		}
	}
	if m.unified != "" {
		for _, mt := range mounts {
			if mt.kind == "cgroup2" {
				return hierarchy{version: 2, dirs: mt.levels(m.unified)}
			}
		}
	}
	return hierarchy{}
}

// levels returns the directories of a group and its ancestors below the mount.
// A group that the mount does not show (a group outside of the namespace, a
// mount of another branch) is looked for at the mount's root.
func (mt *mount) levels(group string) []string {
	point := strings.TrimPrefix(path.Clean("/"+mt.point), "/")
	rest, ok := strings.CutPrefix(group, strings.TrimSuffix(mt.root, "/"))
	if !ok || strings.Contains(group, "..") || (rest != "" && rest[0] != '/') {
		rest = ""
	}
	rest = strings.Trim(path.Clean("/"+rest), "/")
	var dirs []string
	for rest != "" && rest != "." && len(dirs) < maxLevels {
		dirs = append(dirs, path.Join(point, rest))
		rest = path.Dir(rest)
	}
	if point == "" {
		point = "."
	}
	return append(dirs, point)
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}
