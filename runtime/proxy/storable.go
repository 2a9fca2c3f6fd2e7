package proxy

import (
	"net/http"
	"strings"
	"time"

	"github.com/perfopt/perfopt/cache/tiered"
)

// validatedLife is how long an answer with a validator is kept beyond its
// freshness, so that the origin can be asked with a conditional request.
const validatedLife = time.Hour

// noTTL stands for "the origin said nothing".
const noTTL = tiered.NoOrigin

// circumstances are what besides the answer itself decides whether it may be
// stored.
type circumstances struct {
	authorization bool // the request had Authorization
	cookie        bool // the request had Cookie
	noStore       bool // the request said no-store
	plain         bool // origin and proxy are sure to read the path alike
	ttlDefault    time.Duration
	asked, now    time.Time // when the origin was asked and had answered
}

// verdict says what may be done with an answer of the origin.
type verdict struct {
	store  bool
	reason string // why not, a token

	flags    responseFlags
	base     time.Duration // freshness left: the origin's own, or the rule's
	explicit time.Duration // the origin's own, noTTL if it said none
	keep     time.Duration // physical life beyond freshness
	age      time.Duration // corrected initial age
	mustAsk  bool          // never fresh: each use is validated with the origin
}

// judge decides whether and how a shared cache stores an answer to GET (RFC
// 9111, 3, with rules of ours that are stricter). It changes nothing.
func judge(status int, h http.Header, c circumstances) verdict {
	cc := parseCacheControl(h["Cache-Control"])
	no := func(reason string) verdict { return verdict{reason: reason, explicit: noTTL} }
	understood := understoodStatus(status)
	switch {
	case c.noStore:
		return no("request-no-store")
	case cc.mustUnderstand && !understood:
		return no("must-understand")
	case cc.noStore && !cc.mustUnderstand:
		return no("no-store")
	case cc.private:
		return no("private")
	case len(h["Set-Cookie"]) > 0:
		return no("set-cookie")
	case neverStored(status):
		return no("status")
	case len(h["Content-Range"]) > 0:
		return no("range")
	}
	v := verdict{explicit: noTTL, age: initialAge(h, c.asked, c.now)}
	if cc.public || cc.sMaxAge != absent || cc.mustRevalidate {
		v.flags |= flagShared
	} else if c.authorization {
		return no("authorization")
	}
	lifetime, said := freshness(cc, h, c.now)
	validator := parseETag(first(h, "Etag")) != "" || hasTime(h, "Last-Modified")
	switch {
	case cc.noCache:
		// Explicitly storable, and never to be used without asking.
		v.explicit, v.base, v.mustAsk = 0, 0, true
	case said:
		v.explicit = max(lifetime-v.age, 0)
		v.base = v.explicit
		v.mustAsk = v.base == 0
	case c.ttlDefault > 0 && c.plain && byRule(status):
		v.flags |= flagImplicit
		v.base = max(c.ttlDefault-v.age, 0)
		v.mustAsk = v.base == 0
	case status == http.StatusOK && c.plain:
		v.flags |= flagImplicit
		v.mustAsk = true
	default:
		return no("no-freshness")
	}
	if v.flags&flagImplicit != 0 && (c.authorization || c.cookie) {
		// Nothing says that such an answer is not this user's own.
		return no("no-freshness")
	}
	if status >= 500 && v.mustAsk {
		return no("status")
	}
	if validator && status == http.StatusOK {
		v.keep = validatedLife
	} else if v.mustAsk {
		return no("stale")
	}
	v.store = true
	return v
}

// understoodStatus reports whether the caching rules of a status are known to
// us, as must-understand demands.
func understoodStatus(status int) bool {
	return http.StatusText(status) != "" && status != http.StatusPartialContent
}

// neverStored reports whether answers with that status are not stored whatever
// they say: no final answer, a part, or an answer to what was wrong with one
// request rather than to its key.
func neverStored(status int) bool {
	switch status {
	case http.StatusPartialContent, http.StatusNotModified, http.StatusBadRequest, http.StatusRequestTimeout,
		http.StatusLengthRequired, http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong,
		http.StatusExpectationFailed, http.StatusMisdirectedRequest, http.StatusUpgradeRequired,
		http.StatusRequestHeaderFieldsTooLarge:
		return true
	}
	return status < 200 || status > 999
}

// byRule reports whether a rule is enough to store answers with that status.
func byRule(status int) bool {
	switch status {
	case http.StatusOK, http.StatusNonAuthoritativeInfo, http.StatusNoContent, http.StatusMultipleChoices,
		http.StatusMovedPermanently, http.StatusPermanentRedirect, http.StatusNotFound, http.StatusGone:
		return true
	}
	return false
}

// freshness returns the lifetime that an answer says for a shared cache (RFC
// 9111, 4.2.1), and whether it says one. What says one badly says 0.
func freshness(cc directives, h http.Header, now time.Time) (time.Duration, bool) {
	switch {
	case cc.sMaxAge != absent:
		return cc.sMaxAge.duration(), true
	case cc.maxAge != absent:
		return cc.maxAge.duration(), true
	}
	lines := h["Expires"]
	if len(lines) == 0 {
		return 0, false
	}
	date := dateOf(h, now)
	var lifetime time.Duration
	for i, line := range lines {
		expires, err := http.ParseTime(strings.TrimSpace(line))
		if err != nil {
			return 0, true
		}
		if d := max(expires.Sub(date), 0); i == 0 || d < lifetime {
			lifetime = d
		}
	}
	return min(lifetime, maxDelta*time.Second), true
}

// dateOf returns the moment at which the answer was made.
func dateOf(h http.Header, now time.Time) time.Time {
	if lines := h["Date"]; len(lines) == 1 {
		if date, err := http.ParseTime(lines[0]); err == nil {
			return date
		}
	}
	return now
}

// initialAge returns the age of an answer at the moment it was received (RFC
// 9111, 4.2.3). The time that the origin took is added to an Age only: without
// one the answer was made by the origin itself, and Date says when.
func initialAge(h http.Header, asked, now time.Time) time.Duration {
	apparent := time.Duration(max(now.Unix()-dateOf(h, now).Unix(), 0)) * time.Second
	said, ok := ageOf(h)
	if ok {
		said += max(now.Sub(asked), 0)
	}
	return min(max(apparent, said), maxDelta*time.Second)
}

// ageOf returns the Age field: its first member if that is a number (RFC 9111,
// 5.1), and false where there is none that can be used.
func ageOf(h http.Header) (time.Duration, bool) {
	lines := h["Age"]
	if len(lines) == 0 {
		return 0, false
	}
	member, _, _ := strings.Cut(lines[0], ",")
	s := parseSeconds(strings.Trim(member, " \t"))
	return s.duration(), s.valid()
}

func first(h http.Header, name string) string {
	if lines := h[name]; len(lines) > 0 {
		return lines[0]
	}
	return ""
}

func hasTime(h http.Header, name string) bool {
	_, err := http.ParseTime(first(h, name))
	return err == nil
}
