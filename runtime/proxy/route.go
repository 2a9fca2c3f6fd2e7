package proxy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/perfopt/perfopt/scheduler"
)

// Route is a rule for requests. The first that matches a request counts; one
// that matches no rule is of the route "default".
type Route struct {
	// Host is the host that the request must be for, without a port; empty: any.
	Host string
	// Path is a prefix or, if it has a star, a pattern for the whole path: `*`
	// stands for anything within a segment, `**` for anything. Empty: any. It
	// is compared with the decoded path.
	Path string
	// Methods are the methods that the request may have; empty: any.
	Methods []string

	// Cache names the cache that keeps the answers: a name in
	// [Options].Caches, "" or "default" for [Options].Cache, "off" for none.
	Cache string
	// Priority is that of the origin requests: a name of the scheduler's,
	// empty: normal.
	Priority string
	// TrustPriority lets the client's Priority field raise the priority. It
	// can always lower it.
	TrustPriority bool
	// TTLDefault, if positive, makes answers storable that say nothing of
	// their freshness, for so long before the TTL policy is asked. 0:
	// [Options].TTLDefault.
	TTLDefault time.Duration
	// TTLMin and TTLMax are the bounds of a policy's answer. 0: those of
	// [Options].
	TTLMin, TTLMax time.Duration
	// Timeout is for an answer of the origin. 0: [Options].Timeout.
	Timeout time.Duration
}

// String returns the rule as the label by which statistics name it.
func (r Route) String() string {
	label := r.Host + r.Path
	if label == "" {
		label = "**"
	}
	if len(r.Methods) > 0 {
		label = strings.Join(r.Methods, ",") + " " + label
	}
	return label
}

// route is a rule made ready.
type route struct {
	label         string
	host, path    string
	pattern       bool
	methods       []string
	cache         Store // nil: not cached
	priority      scheduler.Priority
	trustPriority bool
	ttlDefault    time.Duration
	ttlMin        time.Duration
	ttlMax        time.Duration
	timeout       time.Duration
	stats         *routeStats
}

func newRoute(r Route, o *Options) (*route, error) {
	rt := &route{
		label: r.String(), host: strings.ToLower(r.Host), path: r.Path, pattern: strings.Contains(r.Path, "*"),
		methods: r.Methods, trustPriority: r.TrustPriority, priority: scheduler.Normal,
		ttlDefault: r.TTLDefault, ttlMin: r.TTLMin, ttlMax: r.TTLMax, timeout: r.Timeout,
	}
	switch r.Cache {
	case "", "default":
		rt.cache = o.Cache
	case "off":
	default:
		c, ok := o.Caches[r.Cache]
		if !ok {
			return nil, fmt.Errorf("route %s: there is no cache named %q", rt.label, r.Cache)
		}
		rt.cache = c
	}
	if r.Priority != "" {
		p, err := scheduler.ParsePriority(r.Priority)
		if err != nil {
			return nil, fmt.Errorf("route %s: %w", rt.label, err)
		}
		rt.priority = p
	}
	setDefault(&rt.ttlDefault, o.TTLDefault)
	setDefault(&rt.ttlMin, o.TTLMin)
	setDefault(&rt.ttlMax, o.TTLMax)
	setDefault(&rt.timeout, o.Timeout)
	return rt, nil
}

func setDefault(d *time.Duration, byDefault time.Duration) {
	if *d == 0 {
		*d = byDefault
	}
}

// matches reports whether the rule is for such a request. host is without
// port, path decoded.
func (rt *route) matches(method, host, path string) bool {
	switch {
	case rt.host != "" && rt.host != host:
		return false
	case len(rt.methods) > 0 && !slices.Contains(rt.methods, method):
		return false
	case rt.pattern:
		return matchPattern(rt.path, path)
	}
	return strings.HasPrefix(path, rt.path)
}

// matchPattern reports whether a whole path matches a pattern with stars. It
// needs time proportional to the product of both lengths at most.
func matchPattern(pattern, path string) bool {
	// The positions to return to when a star has to take more: the last `*`
	// and the last `**`.
	star, starAt := -1, 0
	deep, deepAt := -1, 0
	p, s := 0, 0
	for s < len(path) {
		switch {
		case strings.HasPrefix(pattern[p:], "**"):
			p += 2
			deep, deepAt = p, s
			star = -1
			continue
		case p < len(pattern) && pattern[p] == '*':
			p++
			star, starAt = p, s
			continue
		case p < len(pattern) && pattern[p] == path[s]:
			p++
			s++
			continue
		case star >= 0 && path[starAt] != '/':
			starAt++
			p, s = star, starAt
			continue
		case deep >= 0:
			deepAt++
			p, s = deep, deepAt
			star = -1
			continue
		}
		return false
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// routeFor returns the first rule that matches, or the default route.
func (s *rules) routeFor(method, host, path string) *route {
	for _, rt := range s.routes[:len(s.routes)-1] {
		if rt.matches(method, host, path) {
			return rt
		}
	}
	return s.routes[len(s.routes)-1]
}

// hostname returns an authority without its port.
func hostname(authority string) string {
	if i := strings.LastIndexByte(authority, ':'); i >= 0 && !strings.HasSuffix(authority, "]") {
		return authority[:i]
	}
	return authority
}
