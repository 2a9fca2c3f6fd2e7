package main

import (
	"context"
	"errors"

	"github.com/hashicorp/go-hclog"

	"github.com/perfopt/perfopt/bench/replay"
	"github.com/perfopt/perfopt/hostabi"
	"github.com/perfopt/perfopt/hostabi/ref"
	"github.com/perfopt/perfopt/internal/terminal"
	"github.com/perfopt/perfopt/policies"
)

// openCandidates opens policy references for a replay; done closes them.
func (e *env) openCandidates(ctx context.Context, uses []string) (c []replay.Candidate, done func(), err error) {
	host, err := hostabi.New(ctx, hostabi.Options{CacheDir: e.cacheDir(), Logger: hclog.New(&hclog.LoggerOptions{
		Name: "module", Output: e.stderr, Level: hclog.Warn, DisableTime: true})})
	if err != nil {
		return nil, nil, err
	}
	var opened []*ref.Loaded
	done = func() {
		var errs []error
		for _, l := range opened {
			errs = append(errs, l.Close())
		}
		if err := errors.Join(append(errs, host.Close())...); err != nil {
			e.notef("perfopt %s: closing policies: %v", e.path, err)
		}
	}
	p := terminal.Start(e.stderr, terminal.IsTerminal(e.stderr), "opening policies")
	defer p.Stop()
	resolver := ref.New(host, nil)
	for _, use := range uses {
		l, err := resolver.Open(ctx, policies.KindEviction, use, ref.OpenOptions{})
		if err != nil {
			done()
			return nil, nil, err
		}
		opened = append(opened, l)
		c = append(c, replay.FromRef(l))
	}
	return c, done, nil
}
