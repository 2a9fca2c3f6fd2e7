package proxy

import (
	"net/http"
	"net/netip"
	"net/url"
	"testing"
)

func TestReconfigureKeepsCountersAndRefusesWhole(t *testing.T) {
	origin, err := url.Parse("http://origin.test")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Origin: origin, Routes: []Route{{Path: "/a"}}}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	p.rules.Load().routes[0].stats[Hit].add(0, 0, 7)
	o.Routes = []Route{{Path: "/b"}, {Path: "/c", Priority: "urgent"}}
	if err := p.Reconfigure(o); err == nil || p.Check(o) == nil {
		t.Error("an unknown priority was accepted")
	}
	if got := p.rules.Load().routeFor(http.MethodGet, "x", "/a").label; got != "/a" {
		t.Errorf("after a refused change /a goes to %s", got)
	}
	o.Routes = o.Routes[:1]
	o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	if err := p.Reconfigure(o); err != nil {
		t.Fatal(err)
	}
	if got := p.rules.Load().routeFor(http.MethodGet, "x", "/a").label; got != "default" {
		t.Errorf("after the change /a goes to %s", got)
	}
	s := p.Stats()
	if s.Requests != 1 || s.Bytes != 7 || len(s.Routes) != 3 || s.Routes[0].Route != "/a" || s.Routes[2].Route != "default" {
		t.Errorf("counters went back: %+v", s)
	}
}
