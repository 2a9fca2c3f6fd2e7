package proxy

import (
	"strconv"
	"time"
)

// cacheName is the name under which the proxy appears in Cache-Status.
const cacheName = "perfopt"

// Why a request was forwarded (RFC 9211, 2.2).
const (
	fwdURIMiss  = "uri-miss"
	fwdVaryMiss = "vary-miss"
	fwdStale    = "stale"
	fwdRequest  = "request"
	fwdBypass   = "bypass"
	fwdMethod   = "method"
)

// cacheStatus is what one Cache-Status member says of how a request was
// handled (RFC 9211).
type cacheStatus struct {
	hit       bool
	fwd       string // why it was forwarded; empty: it was not
	fwdStatus int    // the origin's status where it is not that of the answer
	ttl       time.Duration
	hasTTL    bool
	stored    bool
	collapsed bool
	key       string // empty: not said
	detail    string // a token
}

// String returns the member. The freshness left is rounded up, so that what a
// policy answered is seen during the first second.
func (s cacheStatus) String() string {
	b := make([]byte, 0, 96)
	b = append(b, cacheName...)
	if s.hit {
		b = append(b, "; hit"...)
	}
	if s.fwd != "" {
		b = append(append(b, "; fwd="...), s.fwd...)
	}
	if s.fwdStatus != 0 {
		b = strconv.AppendInt(append(b, "; fwd-status="...), int64(s.fwdStatus), 10)
	}
	if s.hasTTL {
		b = strconv.AppendInt(append(b, "; ttl="...), wholeSeconds(s.ttl), 10)
	}
	if s.stored {
		b = append(b, "; stored"...)
	}
	if s.collapsed {
		b = append(b, "; collapsed"...)
	}
	if s.key != "" {
		b = appendQuoted(append(b, "; key="...), s.key)
	}
	if s.detail != "" {
		b = append(append(b, "; detail="...), s.detail...)
	}
	return string(b)
}

// wholeSeconds rounds away from zero.
func wholeSeconds(d time.Duration) int64 {
	if d < 0 {
		return -wholeSeconds(-d)
	}
	return int64((d + time.Second - 1) / time.Second)
}

// appendQuoted appends a structured field string: bytes that none can have are
// replaced by a question mark.
func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c > '~':
			b = append(b, '?')
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
