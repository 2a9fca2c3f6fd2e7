package proxy

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestCacheControlIsReadStrictly(t *testing.T) {
	none := directives{maxAge: absent, sMaxAge: absent, minFresh: absent}
	with := func(change func(*directives)) directives {
		d := none
		change(&d)
		return d
	}
	for _, c := range []struct {
		lines string // separated by |
		want  directives
	}{
		{"", none},
		{"max-age=7", with(func(d *directives) { d.maxAge = 7 })},
		{"MAX-AGE=7", with(func(d *directives) { d.maxAge = 7 })},
		{`max-age="7"`, with(func(d *directives) { d.maxAge = 7 })},
		{`max-age = 7`, with(func(d *directives) { d.maxAge = 7 })},
		{"max-age=7, max-age=3", with(func(d *directives) { d.maxAge = 3 })},
		{"max-age=7|max-age=3", with(func(d *directives) { d.maxAge = 3 })},
		{"max-age=7.5", with(func(d *directives) { d.maxAge = invalid })},
		{"max-age=-1", with(func(d *directives) { d.maxAge = invalid })},
		{"max-age=", with(func(d *directives) { d.maxAge = invalid })},
		{"max-age", with(func(d *directives) { d.maxAge = invalid })},
		{"max-age=7, max-age=x", with(func(d *directives) { d.maxAge = invalid })},
		{"max-age=99999999999999999999", with(func(d *directives) { d.maxAge = maxDelta })},
		{"s-maxage=5,max-age=7", with(func(d *directives) { d.sMaxAge, d.maxAge = 5, 7 })},
		{" , ,no-store,, ", with(func(d *directives) { d.noStore = true })},
		{"No-Store", with(func(d *directives) { d.noStore = true })},
		{`private="Set-Cookie, X-Y"`, with(func(d *directives) { d.private = true })},
		{`no-cache="x", public`, with(func(d *directives) { d.noCache, d.public = true, true })},
		{`x="a, no-store", must-revalidate`, with(func(d *directives) { d.mustRevalidate = true })},
		{`x="a\", no-store", public`, with(func(d *directives) { d.public = true })},
		{`x="unterminated, no-store`, none},
		{"no-storex, x-private", none},
		{"max-age=7;no-store", with(func(d *directives) { d.maxAge = invalid })},
		{"min-fresh=3, min-fresh=9", with(func(d *directives) { d.minFresh = 9 })},
		{"only-if-cached, must-understand, proxy-revalidate", with(func(d *directives) {
			d.onlyIfCached, d.mustUnderstand, d.proxyRevalidate = true, true, true
		})},
	} {
		if got := parseCacheControl(strings.Split(c.lines, "|")); got != c.want {
			t.Errorf("Cache-Control %q: got %+v, want %+v", c.lines, got, c.want)
		}
	}
}

func TestPragmaCountsWithoutCacheControlOnly(t *testing.T) {
	if !requestDirectives(http.Header{"Pragma": {"x, No-Cache"}}).noCache {
		t.Error("Pragma: no-cache alone is ignored")
	}
	if requestDirectives(http.Header{"Pragma": {"no-cache"}, "Cache-Control": {"max-age=3"}}).noCache {
		t.Error("Pragma counts beside Cache-Control")
	}
}

func FuzzCacheControl(f *testing.F) {
	for _, s := range []string{"max-age=7", `private="a, b", no-store`, `x="\`, `=,=","`, "max-age=\"7", ",,,=\t"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d := parseCacheControl([]string{s})
		for _, v := range []seconds{d.maxAge, d.sMaxAge, d.minFresh} {
			if v < invalid || v > maxDelta {
				t.Fatalf("%q: %+v", s, d)
			}
		}
		// A directive after the list can only make the reading stricter.
		if e := parseCacheControl([]string{s, "no-store, max-age=0"}); !e.noStore || e.maxAge > 0 {
			t.Fatalf("%q: the next line is not read: %+v", s, e)
		}
	})
}

func header(lines ...string) http.Header {
	h := http.Header{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, value)
	}
	return h
}

func TestJudge(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	const etag, second = `ETag: "x"`, time.Second
	type want struct {
		reason   string // empty: stored
		explicit time.Duration
		base     time.Duration
		mustAsk  bool
	}
	stored := func(d time.Duration) want { return want{explicit: d, base: d} }
	asked := want{explicit: 0, mustAsk: true}
	no := func(reason string) want { return want{reason: reason} }
	rule := circumstances{plain: true, ttlDefault: 30 * second}
	for _, c := range []struct {
		name   string
		status int
		fields []string
		c      circumstances
		want   want
	}{
		{"max-age", 200, []string{"Cache-Control: max-age=60"}, circumstances{}, stored(60 * second)},
		{"s-maxage wins", 200, []string{"Cache-Control: max-age=60, s-maxage=5"}, circumstances{}, stored(5 * second)},
		{"an invalid s-maxage wins too", 200, []string{"Cache-Control: max-age=60, s-maxage=x"}, circumstances{}, no("stale")},
		{"max-age over Expires", 200, []string{"Cache-Control: max-age=60", "Expires: 0"}, circumstances{}, stored(60 * second)},
		{"Expires against Date", 200, []string{"Expires: " + at(50*second), "Date: " + at(-10*second)}, circumstances{}, stored(50 * second)},
		{"Expires without Date", 200, []string{"Expires: " + at(50*second)}, circumstances{}, stored(50 * second)},
		{"Expires 0", 200, []string{"Expires: 0"}, circumstances{}, no("stale")},
		{"Expires without zone", 200, []string{"Expires: Fri, 02 Jan 2026 03:05:05"}, circumstances{}, no("stale")},
		{"two Expires", 200, []string{"Expires: " + at(50*second), "Expires: " + at(20*second)}, circumstances{}, stored(20 * second)},
		{"Expires 0 with a validator", 200, []string{"Expires: 0", etag}, circumstances{}, asked},
		{"Age counts", 200, []string{"Cache-Control: max-age=60", "Age: 20"}, circumstances{}, stored(40 * second)},
		{"the first Age counts", 200, []string{"Cache-Control: max-age=60", "Age: 20, 50"}, circumstances{}, stored(40 * second)},
		{"a negative Age is none", 200, []string{"Cache-Control: max-age=60", "Age: -20"}, circumstances{}, stored(60 * second)},
		{"a fractional Age is none", 200, []string{"Cache-Control: max-age=60", "Age: 2.5"}, circumstances{}, stored(60 * second)},
		{"an oversized Age", 200, []string{"Cache-Control: max-age=60", "Age: 99999999999999999999"}, circumstances{}, no("stale")},
		{"Date in the past counts", 200, []string{"Cache-Control: max-age=60", "Date: " + at(-25*second)}, circumstances{}, stored(35 * second)},
		{"time on the way counts with Age", 200, []string{"Cache-Control: max-age=60", "Age: 1"}, circumstances{asked: now.Add(-9 * second)}, stored(50 * second)},
		{"stale on arrival", 200, []string{"Cache-Control: max-age=60", "Age: 60"}, circumstances{}, no("stale")},
		{"stale on arrival with a validator", 200, []string{"Cache-Control: max-age=60", "Age: 61", etag}, circumstances{}, asked},
		{"no-cache", 200, []string{"Cache-Control: no-cache, max-age=60"}, circumstances{}, no("stale")},
		{"no-cache with a validator", 200, []string{"Cache-Control: no-cache, max-age=60", etag}, circumstances{}, asked},
		{"no-store", 200, []string{"Cache-Control: max-age=60, no-store"}, circumstances{}, no("no-store")},
		{"no-store on a line of its own", 200, []string{"Cache-Control: max-age=60", "Cache-Control: no-store"}, circumstances{}, no("no-store")},
		{"must-understand with a known status", 200, []string{"Cache-Control: max-age=60, no-store, must-understand"}, circumstances{}, stored(60 * second)},
		{"must-understand with an unknown status", 299, []string{"Cache-Control: max-age=60, must-understand"}, circumstances{}, no("must-understand")},
		{"an unknown status", 299, []string{"Cache-Control: max-age=60"}, circumstances{}, stored(60 * second)},
		{"private", 200, []string{"Cache-Control: private, max-age=60"}, circumstances{}, no("private")},
		{"private beside s-maxage", 200, []string{"Cache-Control: private, s-maxage=60"}, circumstances{}, no("private")},
		{"Set-Cookie", 200, []string{"Cache-Control: public, max-age=60", "Set-Cookie: a=b"}, circumstances{}, no("set-cookie")},
		{"Authorization", 200, []string{"Cache-Control: max-age=60"}, circumstances{authorization: true}, no("authorization")},
		{"Authorization and public", 200, []string{"Cache-Control: public, max-age=60"}, circumstances{authorization: true}, stored(60 * second)},
		{"Authorization and s-maxage", 200, []string{"Cache-Control: s-maxage=60"}, circumstances{authorization: true}, stored(60 * second)},
		{"Authorization and must-revalidate", 200, []string{"Cache-Control: must-revalidate, max-age=60"}, circumstances{authorization: true}, stored(60 * second)},
		{"Authorization and public without freshness", 200, []string{"Cache-Control: public", etag}, circumstances{authorization: true, plain: true}, no("no-freshness")},
		{"nothing said", 200, nil, circumstances{plain: true}, no("stale")},
		{"a validator alone", 200, []string{etag}, circumstances{plain: true}, want{explicit: noTTL, mustAsk: true}},
		{"Last-Modified alone", 200, []string{"Last-Modified: " + at(-time.Hour)}, circumstances{plain: true}, want{explicit: noTTL, mustAsk: true}},
		{"a validator alone, with Cookie", 200, []string{etag}, circumstances{plain: true, cookie: true}, no("no-freshness")},
		{"a validator alone on an odd path", 200, []string{etag}, circumstances{}, no("no-freshness")},
		{"a rule", 200, nil, rule, want{explicit: noTTL, base: 30 * second}},
		{"a rule and 404", 404, nil, rule, want{explicit: noTTL, base: 30 * second}},
		{"a rule and 500", 500, nil, rule, no("no-freshness")},
		{"a rule and 302", 302, nil, rule, no("no-freshness")},
		{"a rule on an odd path", 200, nil, circumstances{ttlDefault: time.Minute}, no("no-freshness")},
		{"a rule with Cookie", 200, nil, circumstances{plain: true, ttlDefault: time.Minute, cookie: true}, no("no-freshness")},
		{"a rule with Authorization", 200, []string{"Cache-Control: public"}, circumstances{plain: true, ttlDefault: time.Minute, authorization: true}, no("no-freshness")},
		{"404 without freshness", 404, []string{etag}, circumstances{plain: true}, no("no-freshness")},
		{"404 with freshness", 404, []string{"Cache-Control: max-age=9"}, circumstances{}, stored(9 * second)},
		{"503 with freshness", 503, []string{"Cache-Control: max-age=9"}, circumstances{}, stored(9 * second)},
		{"400 with freshness", 400, []string{"Cache-Control: max-age=9"}, circumstances{}, no("status")},
		{"413 with freshness", 413, []string{"Cache-Control: max-age=9"}, rule, no("status")},
		{"431 with freshness", 431, []string{"Cache-Control: max-age=9"}, rule, no("status")},
		{"206 with freshness", 206, []string{"Cache-Control: max-age=9"}, circumstances{}, no("status")},
		{"Content-Range in a 200", 200, []string{"Cache-Control: max-age=9", "Content-Range: bytes 0-1/3"}, circumstances{}, no("range")},
		{"request no-store", 200, []string{"Cache-Control: max-age=9"}, circumstances{noStore: true}, no("request-no-store")},
	} {
		c.c.now = now
		if c.c.asked.IsZero() {
			c.c.asked = now
		}
		v := judge(c.status, header(c.fields...), c.c)
		if v.store != (c.want.reason == "") || v.reason != c.want.reason {
			t.Errorf("%s: stored %v, reason %q, want reason %q", c.name, v.store, v.reason, c.want.reason)
			continue
		}
		if v.store && (v.explicit != c.want.explicit || v.base != c.want.base || v.mustAsk != c.want.mustAsk) {
			t.Errorf("%s: explicit %v, base %v, to be asked %v, want %+v", c.name, v.explicit, v.base, v.mustAsk, c.want)
		}
	}
}
