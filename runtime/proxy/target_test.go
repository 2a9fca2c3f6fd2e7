package proxy

import (
	"net/url"
	"testing"
)

func TestTargetsAreForwardedExactly(t *testing.T) {
	origin, err := url.Parse("http://origin:9000")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ target, want string }{
		{"/", "/"}, {"/a", "/a"}, {"/a?", "/a?"}, {"/?b;c=2", "/?b;c=2"}, {"/a?b;c=2&d=%zz", "/a?b;c=2&d=%zz"}, {"//", "//"}, {"//x/y", "//x/y"},
		{"/a//b", "/a//b"}, {"/%2e%2e/%2fadmin", "/%2e%2e/%2fadmin"}, {"/a/../b", "/a/../b"}, {"/%41", "/%41"}, {"/a;x=1", "/a;x=1"},
		{`/"{|}^`, `/"{|}^`}, {"/\xc3\xbc", "/\xc3\xbc"}, {"/a??b", "/a??b"}, {"http://x.y/z?q", "/z?q"}, {"http://x.y", "/"}, {"http://x.y?q", "/?q"},
		{"*", ""}, {"a", ""}, {"/a#b", ""}, {"/a b", ""}, {"/a\x00", ""}, {"/a\\b", ""},
	} {
		path, query, err := splitTarget(c.target)
		if err != nil {
			if c.want != "" {
				t.Errorf("%q: %v", c.target, err)
			}
			continue
		}
		if got := outgoingURL(origin, path, query).RequestURI(); got != c.want || path+query != c.want {
			t.Errorf("%q: got %q, key %q, want %q", c.target, got, path+query, c.want)
		}
	}
	origin.Path = "/base/"
	if got := outgoingURL(origin, "/a", "?x").RequestURI(); got != "/base/a?x" {
		t.Errorf("with a base path: %q", got)
	}
}

func TestPlainPaths(t *testing.T) {
	for _, c := range []struct {
		path, decoded string
		plain         bool
	}{
		{"/a/b", "/a/b", true}, {"/a%20b", "/a b", false}, {"/%41", "/A", true}, {"/me;x.css", "/me;x.css", false}, {"/me%0a.css", "/me\n.css", false},
		{"/a/../me", "/me", false}, {"/a/%2e%2e/me", "/me", false}, {"/a%2fb", "/a/b", false}, {"//a", "/a", false}, {"/a/", "/a/", true},
		{"/%zz", "/%zz", false}, {"/a%3fb", "/a?b", false}, {"/%252e", "/%2e", false}, {"/..", "/", false}, {"/a/.", "/a", false},
	} {
		if decoded, plain := plainPath(c.path); decoded != c.decoded || plain != c.plain {
			t.Errorf("%q: got %q, plain %v, want %q, %v", c.path, decoded, plain, c.decoded, c.plain)
		}
	}
}

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"/a/*", "/a/b", true}, {"/a/*", "/a/b/c", false}, {"/a/**", "/a/b/c", true}, {"/a/**", "/a/", true}, {"/a/**", "/a", false},
		{"/*/c", "/b/c", true}, {"/*/c", "/b/d/c", false}, {"/**/c", "/b/d/c", true}, {"*.png", "/x.png", false}, {"**.png", "/a/x.png", true},
		{"**", "/anything", true}, {"/a*b*c", "/a--b--c", true}, {"/a*b*c", "/a--b--", false}, {"/**/x*y/**", "/1/2/xzy/3", true},
		{"/**/a/*/b", "/a/a/a/q/b", true}, {"/a/*", "/a/", true},
	} {
		if got := matchPattern(c.pattern, c.path); got != c.want {
			t.Errorf("%q against %q: got %v", c.pattern, c.path, got)
		}
	}
}

func TestHosts(t *testing.T) {
	for _, c := range []struct{ host, want string }{
		{"Example.COM", "example.com"}, {"a:80", "a"}, {"a:8080", "a:8080"}, {"[::1]:80", "[::1]"}, {"", ""}, {"a/b", ""}, {"a b", ""}, {"a@b", ""},
		{"a?b", ""}, {"a#", ""}, {":80", ""}, {"a\r", ""},
	} {
		if got, err := normalisedHost(c.host, "http"); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q: got %q, %v", c.host, got, err)
		}
	}
	if got := hostname("[::1]:8080"); got != "[::1]" {
		t.Errorf("host name %q", got)
	}
}
