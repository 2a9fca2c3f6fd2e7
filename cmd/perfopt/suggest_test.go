package main

import "testing"

func TestNearest(t *testing.T) {
	known := []string{"policy", "cache", "completion", "replay", "ab"}
	for name, want := range map[string]string{
		"polcy": "policy", "plicy": "policy", "polciy": "policy", "cahce": "cache", "repaly": "replay",
		"a": "ab", "abc": "ab", "completoin": "completion", "xyz": "", "": "", "policies": "policy", "bench": "",
	} {
		if got := nearest(name, known); got != want {
			t.Errorf("nearest to %q is %q, want %q", name, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"abc", "ab", 1}, {"kitten", "sitting", 3}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance of %q and %q is %d, want %d", c.a, c.b, got, c.want)
		}
		if got := distance(c.b, c.a); got != c.want {
			t.Errorf("distance of %q and %q is %d, want %d", c.b, c.a, got, c.want)
		}
	}
}

func TestToolchainVersions(t *testing.T) {
	for version, want := range map[string]bool{
		"go1.26.8": true, "go1.24": true, "go1.24rc1": true, "go1.23.4": false, "go1.9": false, "go2.0": true,
		"devel go1.27-abcdef": true, "": true,
	} {
		if got := atLeast(version, 1, 24); got != want {
			t.Errorf("%q is at least 1.24: %v, want %v", version, got, want)
		}
	}
}
