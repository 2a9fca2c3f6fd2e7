package resource

import (
	"math"
	"path/filepath"
	"reflect"
	"testing"
)

func TestParseMembership(t *testing.T) {
	tests := []struct {
		name, in, unified string
		controllers       map[string]string
	}{
		{"version 2", "0::/system.slice/app.service\n", "/system.slice/app.service", map[string]string{}},
		{"version 1", "5:cpu,cpuacct:/a\n3:memory:/b\n", "", map[string]string{"cpu": "/a", "cpuacct": "/a", "memory": "/b"}},
		{"a colon in the path", "0::/a:b\n", "/a:b", map[string]string{}},
		{"hybrid without a last newline", "1:name=systemd:/s\n0::/u", "/u", map[string]string{"name=systemd": "/s"}},
		{"nonsense", "hello\n1:2\n::\n0::relative\n", "", map[string]string{}},
		{"empty", "", "", map[string]string{}},
	}
	for _, tt := range tests {
		m := parseMembership([]byte(tt.in))
		if m.unified != tt.unified || !reflect.DeepEqual(m.controllers, tt.controllers) {
			t.Errorf("%s: %q: got %+v, want %q and %v", tt.name, tt.in, m, tt.unified, tt.controllers)
		}
	}
}

func TestParseMounts(t *testing.T) {
	in := `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
41 30 0:31 /docker/4f /sys/fs/my\040group ro - cgroup cgroup rw,memory
too short - cgroup2
no separator at all 1 2 3 4 5 6
`
	want := []mount{
		{"/mnt1", "/mnt2", "ext3", []string{"rw", "errors=continue"}},
		{"/docker/4f", "/sys/fs/my group", "cgroup", []string{"rw", "memory"}},
	}
	if got := parseMounts([]byte(in)); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestLevels(t *testing.T) {
	tests := []struct {
		root, point, group string
		want               []string
	}{
		{"/", "/sys/fs/cgroup", "/", []string{"sys/fs/cgroup"}},
		{"/", "/sys/fs/cgroup", "/a/b", []string{"sys/fs/cgroup/a/b", "sys/fs/cgroup/a", "sys/fs/cgroup"}},
		{"/docker/4f", "/cg", "/docker/4f", []string{"cg"}},
		{"/docker/4f", "/cg", "/docker/4f/x", []string{"cg/x", "cg"}},
		{"/docker/4f", "/cg", "/docker/4fff", []string{"cg"}}, // another container
		{"/docker/4f", "/cg", "/elsewhere", []string{"cg"}},
		{"/", "/cg", "/../outside", []string{"cg"}}, // outside of the namespace
		{"/..", "/cg", "/", []string{"cg"}},
		{"/", "/", "/a", []string{"a", "."}},
	}
	for _, tt := range tests {
		m := mount{root: tt.root, point: tt.point}
		if got := m.levels(tt.group); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("mount %s at %s, group %s: got %q, want %q", tt.root, tt.point, tt.group, got, tt.want)
		}
	}
}

func TestParseCPUMax(t *testing.T) {
	tests := []struct {
		in    string
		cores float64
		ok    bool
	}{
		{"max 100000\n", 0, false}, {"150000 100000\n", 1.5, true}, {"50000\n", 0.5, true}, {"-1 100000", 0, false},
		{"0 100000", 0, false}, {"100 0", 0, false}, {"100 x", 0, false}, {"", 0, false},
	}
	for _, tt := range tests {
		if cores, ok := parseCPUMax([]byte(tt.in)); cores != tt.cores || ok != tt.ok {
			t.Errorf("%q: got %v, %v, want %v, %v", tt.in, cores, ok, tt.cores, tt.ok)
		}
	}
}

// A quota file that cannot be read must not make a quota of the period.
func TestParseQuota(t *testing.T) {
	tests := []struct {
		quota, period string
		cores         float64
	}{
		{"200000\n", "100000\n", 2}, {"-1\n", "100000\n", 0}, {"", "100000\n", 0}, {"100000\n", "", 0}, {"", "", 0},
	}
	for _, tt := range tests {
		cores, ok := parseQuota([]byte(tt.quota), []byte(tt.period))
		if cores != tt.cores || ok != (tt.cores > 0) {
			t.Errorf("%q over %q: got %v, %v, want %v", tt.quota, tt.period, cores, ok, tt.cores)
		}
	}
}

func TestParseNumbers(t *testing.T) {
	number := func(s string) (int64, bool) { return parseNumber([]byte(s)) }
	keyed := func(s string) (int64, bool) { return parseKeyed([]byte(s), "inactive_file") }
	some := func(s string) (int64, bool) { return parsePressure([]byte(s)) }
	tests := []struct {
		name string
		read func(string) (int64, bool)
		in   string
		n    int64
		ok   bool
	}{
		{"number", number, "1024\n", 1024, true},
		{"number", number, "max\n", 0, false},
		{"number", number, "-1\n", 0, false},
		{"number", number, "9223372036854771712\n", 0, false},
		{"number", number, "99999999999999999999\n", 0, false},
		{"keyed", keyed, "anon 1\ninactive_file 7\n", 7, true},
		{"keyed", keyed, "total_inactive_file 7\n", 0, false},
		{"keyed", keyed, "inactive_file x\n", 0, false},
		{"pressure", some, "full total=1\nsome avg10=1.00 total=99\n", 99, true},
		{"pressure", some, "some avg10=1.00\n", 0, false},
		{"pressure", some, "", 0, false},
	}
	for _, tt := range tests {
		n, ok := tt.read(tt.in)
		if ok != tt.ok || ok && n != tt.n {
			t.Errorf("%s %q: got %d, %v, want %d, %v", tt.name, tt.in, n, ok, tt.n, tt.ok)
		}
	}
}

func FuzzGroups(f *testing.F) {
	f.Add("0::/a/b\n", "30 23 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n")
	f.Add("5:cpu,cpuacct:/docker/4f\n", "40 30 0:30 /docker/4f /cg/cpu ro - cgroup cgroup rw,cpu,cpuacct\n")
	f.Add("4:memory:/../x\n", "40 30 0:30 /.. /a\\040b ro - cgroup cgroup rw,memory\n")
	f.Fuzz(func(t *testing.T, membership, mounts string) {
		m, mt := parseMembership([]byte(membership)), parseMounts([]byte(mounts))
		for _, controller := range []string{"cpu", "memory"} {
			h := locate(m, mt, controller)
			if (h.version == 0) != (len(h.dirs) == 0) || len(h.dirs) > maxLevels+1 {
				t.Fatalf("version %d with %d directories", h.version, len(h.dirs))
			}
			for _, dir := range h.dirs {
				if !filepath.IsLocal(dir) {
					t.Fatalf("directory %q leaves the root", dir)
				}
			}
		}
	})
}

func FuzzFiles(f *testing.F) {
	f.Add([]byte("150000 100000"))
	f.Add([]byte("max"))
	f.Add([]byte("usage_usec 10\nnr_periods 1\n"))
	f.Add([]byte("some avg10=0.00 avg60=0.00 avg300=0.00 total=1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if cores, ok := parseCPUMax(b); ok && !(cores > 0 && !math.IsInf(cores, 0)) {
			t.Fatalf("%q allows %v CPUs", b, cores)
		}
		for _, parse := range []func([]byte) (int64, bool){
			parseNumber, parsePressure,
			func(b []byte) (int64, bool) { return parseKeyed(b, "usage_usec") },
		} {
			if n, ok := parse(b); ok && n < 0 {
				t.Fatalf("%q reads as %d", b, n)
			}
		}
	})
}
