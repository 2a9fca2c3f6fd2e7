package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	perfopt "github.com/perfopt/perfopt/runtime"
)

// welcome says what listens where, what sits in each seat, and what to try.
func (d *daemon) welcome(rt *perfopt.Runtime, front string, notes []string) {
	w := tabwriter.NewWriter(d.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "perfoptd %s, %s\n\n", version(), describePath(d.path))
	if addr := rt.ProxyAddr(); addr != "" {
		fmt.Fprintf(w, "  proxy\thttp://%s\t%s\n", addr, front)
	}
	admin := rt.AdminAddr()
	if admin != "" {
		fmt.Fprintf(w, "  admin\thttp://%s\tpage, API under /v1, /metrics\n", admin)
	}
	tiers := "no second tier"
	if d.cfg.Cache.L2.URL != "" {
		tiers = "second tier " + redacted(d.cfg.Cache.L2.URL)
	}
	fmt.Fprintf(w, "  cache\t%s\t%s\n", d.cfg.Cache.Capacity, tiers)
	fmt.Fprintf(w, "  state\t%s\tpushed policies and their history\n", d.cfg.State.Dir)
	w.Flush()
	fmt.Fprintln(d.stdout)
	for _, s := range rt.Stats().Seats {
		what := s.Use + ", from " + s.Source
		if s.State == perfopt.StateOff {
			what = "off: " + s.Why
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\n", s.Seat, s.Name, what)
	}
	w.Flush()
	for _, n := range notes {
		fmt.Fprintf(d.stdout, "\n  %s\n", n)
	}
	if addr := rt.ProxyAddr(); addr != "" && d.cfg.Origin.URL == "" {
		fmt.Fprintf(d.stdout, "\nTry\n  curl -si http://%s/pkg/net/http | grep -i -e cache-status -e server-timing   # twice: a miss, then a hit\n", addr)
	} else {
		fmt.Fprintln(d.stdout, "\nTry")
	}
	if admin != "" {
		fmt.Fprintf(d.stdout, "  open http://%s in a browser\n", admin)
		fmt.Fprintf(d.stdout, "  go run ./cmd/perfopt policy push eviction builtin:s3fifo --admin http://%s\n", admin)
	}
	fmt.Fprintln(d.stdout)
}

// redacted returns a URL without its password.
func redacted(url string) string {
	scheme, rest, ok := strings.Cut(url, "://")
	if i := strings.LastIndexByte(rest, '@'); ok && i >= 0 {
		return scheme + "://[redacted]@" + rest[i+1:]
	}
	return url
}
