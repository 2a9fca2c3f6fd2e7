package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/maypok86/otter/v2"
	"github.com/perfopt/perfopt/cache"
	"github.com/perfopt/perfopt/hostabi"
	"github.com/perfopt/perfopt/hostabi/ref"
	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/features"
	"github.com/perfopt/perfopt/policies/guard"
)

// peer makes caches that are measured.
type peer struct {
	name string
	make func(capacity int) (target, error)
}

// target is a cache under test.
type target struct {
	get func(string) bool
	set func(string, []byte)
	// counts returns hits so far and how many of them reached the policy;
	// negative: not known.
	counts func() (hits, recorded int64)
	close  func()
}

// used are the policies that perfopt is measured with.
var used = []string{"builtin:linear", "builtin:lru", "builtin:s3fifo", "shipped:lru-c"}

// peers returns the caches, Otter last. The second result frees them.
func peers(ctx context.Context, only string) ([]peer, func(), error) {
	host, err := hostabi.New(ctx, hostabi.Options{})
	if err != nil {
		return nil, nil, err
	}
	resolver := ref.New(host, nil)
	var all []peer
	var opened []*ref.Loaded
	free := func() {
		for _, l := range opened {
			_ = l.Close()
		}
		_ = host.Close()
	}
	for _, use := range used {
		name := "perfopt " + use
		if only != "" && !strings.HasSuffix(name, only) {
			continue
		}
		l, err := resolver.Open(ctx, policies.KindEviction, use, ref.OpenOptions{})
		if err != nil {
			free()
			return nil, nil, err
		}
		opened = append(opened, l)
		all = append(all, peer{name, func(capacity int) (target, error) { return perfopt(l, capacity) }})
	}
	return append(all, peer{"otter", newOtter}), free, nil
}

func perfopt(l *ref.Loaded, capacity int) (target, error) {
	health := guard.NewHealth(guard.Options{})
	c, err := cache.New(cache.Options[string, []byte]{
		Capacity: int64(capacity),
		Eviction: func(t *features.Table) (policies.Orderer, error) {
			p, err := l.Eviction(ref.Env{Features: t})
			if err != nil {
				return nil, err
			}
			return guard.Eviction(p, health), nil
		},
		OnPolicyFault: func(err error) { panic(fmt.Sprintf("%s: %v", l.Ref(), err)) },
	})
	if err != nil {
		return target{}, err
	}
	return target{
		get: func(k string) bool { _, ok := c.Get(k); return ok },
		set: func(k string, v []byte) { c.Set(k, v) },
		counts: func() (int64, int64) {
			st := c.Stats()
			return int64(st.Hits), int64(st.Recorded)
		},
		close: c.Close,
	}, nil
}

func newOtter(capacity int) (target, error) {
	c, err := otter.New(&otter.Options[string, []byte]{MaximumSize: capacity})
	if err != nil {
		return target{}, err
	}
	return target{
		get:    func(k string) bool { _, ok := c.GetIfPresent(k); return ok },
		set:    func(k string, v []byte) { c.Set(k, v) },
		counts: func() (int64, int64) { return 0, -1 },
		close:  func() { c.StopAllGoroutines() },
	}, nil
}
