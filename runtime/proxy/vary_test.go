package proxy

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/perfopt/perfopt/scheduler"
)

func TestVaryNames(t *testing.T) {
	for _, c := range []struct {
		lines string // separated by |
		want  string
	}{
		{"", ""}, {"Accept", "Accept"}, {"accept, ACCEPT", "Accept"}, {"b,a", "A,B"}, {"a|b", "A,B"},
		{"*", "*"}, {"a, *", "*"}, {"a|*", "*"}, {" * ", "*"}, {"a b", "*"}, {",,a,", "A"},
		{strings.Repeat("x,", maxVaryNames) + strings.Repeat("y,", 3), "X,Y"},
	} {
		if got := strings.Join(varyNames(strings.Split(c.lines, "|")), ","); got != c.want {
			t.Errorf("Vary %q: got %q, want %q", c.lines, got, c.want)
		}
	}
	many := make([]string, maxVaryNames+1)
	for i := range many {
		many[i] = "x-" + string(rune('a'+i))
	}
	if got := varyNames(many); !slices.Equal(got, variesByAll) {
		t.Errorf("%d names: got %v", len(many), got)
	}
}

func TestEncodingClasses(t *testing.T) {
	for _, c := range []struct{ field, want string }{
		{"", ""}, {"gzip", "gzip"}, {"GZip", "gzip"}, {"x-gzip", "gzip"}, {"gzip, br", "br,gzip"}, {"br;q=1.0, gzip;q=0.8, *;q=0.1", "br,gzip,zstd"},
		{"deflate", ""}, {"gzip;q=0", ""}, {"gzip; q=0.000, br", "br"}, {"gzip;q=0.001", "gzip"}, {"*", "br,gzip,zstd"},
		{"*, gzip;q=0", "br,zstd"}, {"identity", ""}, {"gzip, identity;q=0", "gzip,identity;q=0"},
		{"gzip, *;q=0", "gzip,identity;q=0"}, {"identity, *;q=0", ""}, {"gzip, deflate, br, zstd", "br,gzip,zstd"},
	} {
		if got := encodingClass([]string{c.field}); got != c.want {
			t.Errorf("Accept-Encoding %q: got class %q, want %q", c.field, got, c.want)
		}
	}
}

func TestVariantKeysTellVariantsApart(t *testing.T) {
	names := []string{"Accept-Encoding", "Accept-Language", "X-A"}
	key := func(lines ...string) string { return variantKey("base", "g", names, header(lines...)) }
	same := [][]string{
		{"Accept-Language: de, en", "Accept-Encoding: gzip, br"},
		{"Accept-Language: DE ,EN", "Accept-Encoding: br;q=0.3,gzip"},
		{"Accept-Language: de", "Accept-Language: en", "Accept-Encoding: gzip", "Accept-Encoding: br"},
	}
	for _, lines := range same {
		if got, want := key(lines...), key(same[0]...); got != want {
			t.Errorf("%q and %q should select the same variant", lines, same[0])
		}
	}
	other := map[string]string{}
	for _, lines := range [][]string{
		{}, {"X-A: "}, {"X-A: 1"}, {"X-A: 1,2"}, {"X-A: a"}, {"X-A: A"}, {"Accept-Language: 1"}, {"Accept-Encoding: gzip"},
		{"X-A: " + strings.Repeat("long", 1000)}, {"X-A: " + strings.Repeat("long", 1001)},
	} {
		k := key(lines...)
		if before, ok := other[k]; ok {
			t.Errorf("%q and %q select the same variant", before, lines)
		}
		if len(k) > len("base\ng\n")+maxVariantBytes {
			t.Errorf("a key of %d bytes", len(k))
		}
		other[k] = strings.Join(lines, "|")
	}
}

func FuzzVary(f *testing.F) {
	f.Add("Accept, X", "a, b", "c")
	f.Add("*", "", "")
	f.Add("accept-encoding,,accept-encoding", "gzip;q=0, *", "\x00")
	f.Fuzz(func(t *testing.T, vary, a, b string) {
		names := varyNames([]string{vary})
		if !slices.IsSorted(names) || len(names) > maxVaryNames {
			t.Fatalf("Vary %q: %q", vary, names)
		}
		for _, name := range names {
			if name != "*" && (!isToken(name) || http.CanonicalHeaderKey(name) != name) {
				t.Fatalf("Vary %q: name %q", vary, name)
			}
		}
		if class := encodingClass([]string{a}); encodingClass([]string{class}) != class {
			t.Fatalf("class %q of %q is not its own class", class, a)
		}
		if strings.ContainsAny(a+b, "\r\n") {
			return
		}
		one := variantKey("k", "g", []string{"A", "B"}, http.Header{"A": {a}})
		two := variantKey("k", "g", []string{"A", "B"}, http.Header{"B": {a}})
		if one == two {
			t.Fatalf("field %q selects the same as another field", a)
		}
	})
}

func TestPriorities(t *testing.T) {
	for _, c := range []struct {
		route   scheduler.Priority
		trusted bool
		lines   string
		want    scheduler.Priority
	}{
		{scheduler.Normal, false, "", scheduler.Normal},
		{scheduler.Normal, false, "u=0", scheduler.Normal},
		{scheduler.Normal, true, "u=0", scheduler.Critical},
		{scheduler.Normal, true, "u=1", scheduler.High},
		{scheduler.Normal, true, "u=2, i", scheduler.High},
		{scheduler.Normal, true, "i, u=3", scheduler.Normal},
		{scheduler.Normal, false, "u=4", scheduler.Low},
		{scheduler.Normal, false, "i,u=6", scheduler.Low},
		{scheduler.Normal, false, "u=7;x=y", scheduler.Background},
		{scheduler.Background, false, "u=0", scheduler.Background},
		{scheduler.Background, true, "u=3", scheduler.Normal},
		{scheduler.Critical, false, "u=7", scheduler.Background},
		{scheduler.High, true, "u=8", scheduler.High},
		{scheduler.High, true, "u=-1", scheduler.High},
		{scheduler.High, true, "u=1.5", scheduler.High},
		{scheduler.High, true, "u", scheduler.High},
		{scheduler.High, true, "U=7", scheduler.High},
		{scheduler.Normal, true, "u=1, u=5", scheduler.Low},
	} {
		var lines []string
		if c.lines != "" {
			lines = []string{c.lines}
		}
		rt := &route{priority: c.route, trustPriority: c.trusted}
		if got := requestPriority(rt, lines); got != c.want {
			t.Errorf("route %v (trusts %v), Priority %q: got %v, want %v", c.route, c.trusted, c.lines, got, c.want)
		}
	}
}

func FuzzPriority(f *testing.F) {
	f.Add("u=3, i")
	f.Add("u=,u=;=,u=9")
	f.Fuzz(func(t *testing.T, s string) {
		u, ok := urgencyOf([]string{s})
		if u < 0 || u > 7 || !ok && u != 3 {
			t.Fatalf("%q: %d, %v", s, u, ok)
		}
		rt := &route{priority: scheduler.High}
		if got := requestPriority(rt, []string{s}); got < scheduler.High {
			t.Fatalf("%q raises to %v", s, got)
		}
	})
}
