package proxy

import (
	"math"
	"net/http"
	"strings"
	"time"
)

// maxDelta is the largest number of seconds that a field may say; larger ones
// mean it (RFC 9111, 1.2.2).
const maxDelta = math.MaxInt32

// seconds is the argument of a directive: seconds, or absent or invalid.
type seconds int64

const (
	absent  seconds = -1
	invalid seconds = -2 // present, but not a number: the most restrictive reading counts
)

// valid reports whether a number was given.
func (s seconds) valid() bool { return s >= 0 }

// duration returns the number given; an invalid one is 0.
func (s seconds) duration() time.Duration { return time.Duration(max(s, 0)) * time.Second }

// directives is a parsed Cache-Control field, of a request or of a response
// (RFC 9111, 5.2). Unknown directives are ignored; of one that is repeated the
// most restrictive counts.
type directives struct {
	maxAge, sMaxAge, minFresh seconds

	noStore, noCache, private, public bool
	mustRevalidate, proxyRevalidate   bool
	mustUnderstand, onlyIfCached      bool
}

// parseCacheControl reads all Cache-Control lines of a message. Names are told
// without regard to case; an argument may be a token or a quoted string.
// `private` and `no-cache` with a list of fields are read as without one.
func parseCacheControl(lines []string) directives {
	d := directives{maxAge: absent, sMaxAge: absent, minFresh: absent}
	for _, line := range lines {
		for line != "" {
			var name, arg string
			name, arg, line = nextDirective(line)
			d.apply(name, arg)
		}
	}
	return d
}

func (d *directives) apply(name, arg string) {
	switch strings.ToLower(name) {
	case "max-age":
		d.maxAge = stricter(d.maxAge, parseSeconds(arg))
	case "s-maxage":
		d.sMaxAge = stricter(d.sMaxAge, parseSeconds(arg))
	case "min-fresh":
		// Of min-fresh the larger number is the stricter one.
		if s := parseSeconds(arg); s == invalid {
			d.minFresh = maxDelta
		} else {
			d.minFresh = max(d.minFresh, s)
		}
	case "no-store":
		d.noStore = true
	case "no-cache":
		d.noCache = true
	case "private":
		d.private = true
	case "public":
		d.public = true
	case "must-revalidate":
		d.mustRevalidate = true
	case "proxy-revalidate":
		d.proxyRevalidate = true
	case "must-understand":
		d.mustUnderstand = true
	case "only-if-cached":
		d.onlyIfCached = true
	}
}

// nextDirective cuts the first member from a comma-separated list. Commas in a
// quoted argument do not separate.
func nextDirective(line string) (name, arg, rest string) {
	line = strings.TrimLeft(line, " \t,")
	end := strings.IndexAny(line, "=,")
	if end < 0 {
		return strings.TrimRight(line, " \t"), "", ""
	}
	name = strings.TrimRight(line[:end], " \t")
	if line[end] == ',' {
		return name, "", line[end+1:]
	}
	line = strings.TrimLeft(line[end+1:], " \t")
	if !strings.HasPrefix(line, `"`) {
		arg, rest, _ = strings.Cut(line, ",")
		return name, strings.TrimRight(arg, " \t"), rest
	}
	var unquoted strings.Builder
	for i := 1; i < len(line); i++ {
		switch c := line[i]; c {
		case '\\':
			if i++; i < len(line) {
				unquoted.WriteByte(line[i])
			}
		case '"':
			_, rest, _ = strings.Cut(line[i+1:], ",")
			return name, unquoted.String(), rest
		default:
			unquoted.WriteByte(c)
		}
	}
	return name, "unterminated", ""
}

// parseSeconds reads delta-seconds: digits only. Numbers beyond the bound
// mean the bound.
func parseSeconds(s string) seconds {
	if s == "" {
		return invalid
	}
	var n int64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return invalid
		}
		n = min(n*10+int64(s[i]-'0'), maxDelta)
	}
	return seconds(n)
}

// stricter returns the more restrictive of two values of one directive.
func stricter(a, b seconds) seconds {
	switch {
	case a == absent:
		return b
	case a == invalid || b == invalid:
		return invalid
	}
	return min(a, b)
}

// requestDirectives reads Cache-Control of a request, or Pragma where there is
// none (RFC 9111, 5.4).
func requestDirectives(h http.Header) directives {
	lines := h["Cache-Control"]
	d := parseCacheControl(lines)
	if len(lines) == 0 {
		for _, pragma := range h["Pragma"] {
			if hasToken(pragma, "no-cache") {
				d.noCache = true
			}
		}
	}
	return d
}

// hasToken reports whether a comma-separated list has that member, without
// regard to case.
func hasToken(list, token string) bool {
	for list != "" {
		var member string
		member, list, _ = strings.Cut(list, ",")
		if strings.EqualFold(strings.Trim(member, " \t"), token) {
			return true
		}
	}
	return false
}
