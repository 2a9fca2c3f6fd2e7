package proxy

import (
	"errors"
	"fmt"
	"net/netip"
)

// rules are what may be changed while requests are served. Immutable; a
// request keeps those it began with.
type rules struct {
	routes  []*route // the default one last
	maxBody int64
	trusted []netip.Prefix
	showKey bool
	lane    *laneIndex // leads to these routes only
}

// newRules makes ready what the options say, or returns all that is wrong.
func (p *Proxy) newRules(o Options) (*rules, error) {
	var errs []error
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.MaxBody == 0 {
		o.MaxBody = DefaultMaxBody
	}
	if o.Timeout < 0 || o.MaxBody < 0 {
		errs = append(errs, fmt.Errorf("timeout %v, largest body %d: want more than 0", o.Timeout, o.MaxBody))
	}
	s := &rules{maxBody: o.MaxBody, trusted: o.TrustedProxies, showKey: o.ShowKey, lane: newLaneIndex()}
	for _, r := range append(o.Routes[:len(o.Routes):len(o.Routes)], Route{}) {
		rt, err := newRoute(r, &o)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s.routes = append(s.routes, rt)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	s.routes[len(s.routes)-1].label = "default"
	for _, rt := range s.routes {
		rt.stats = p.counted.of(rt.label)
	}
	return s, nil
}

// Check returns what [Proxy.Reconfigure] would refuse.
func (p *Proxy) Check(o Options) error {
	_, err := (&Proxy{}).newRules(o)
	return err
}

// Reconfigure exchanges routes, timeouts, bounds of lifetimes, MaxBody,
// TrustedProxies and ShowKey while requests are served; each request keeps what
// it began with. Origin, HostFromOrigin, Transport and Limiter stay, and
// Cache and Caches must be those that the proxy was made with. Counters go on:
// those of a route that is there no more are still shown. On error nothing is
// changed. Safe for concurrent use.
func (p *Proxy) Reconfigure(o Options) error {
	rules, err := p.newRules(o)
	if err != nil {
		return err
	}
	p.rules.Store(rules)
	return nil
}
