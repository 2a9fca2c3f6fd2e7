package perfopt

import (
	"context"
	"io"
	"sync"

	"github.com/perfopt/perfopt/hostabi/ref"
	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/builtin"
	"github.com/perfopt/perfopt/policies/features"
	"github.com/perfopt/perfopt/policies/guard"
	"github.com/perfopt/perfopt/scheduler"
)

// evictionOwner is a cache as the owner of its eviction policy. The cache
// closes the former policy itself.
type evictionOwner struct{ cache managedCache }

func (o evictionOwner) off() string { return "" }

// release has nothing to do: the cache closes its policy when it ends.
func (o evictionOwner) release() {}

func (o evictionOwner) adopt(ctx context.Context, loaded *ref.Loaded, env ref.Env, health *guard.Health) error {
	return o.cache.UseEviction(ctx, func(t *features.Table) (policies.Orderer, error) {
		env.Features = t
		p, err := loaded.Eviction(env)
		if err != nil {
			return nil, err
		}
		return guard.Eviction(p, health), nil
	})
}

// ttlOwner is a cache as the owner of its TTL policy.
type ttlOwner struct {
	cache   managedCache
	enabled func() bool
}

func (o ttlOwner) off() string {
	if !o.enabled() {
		return "cache.adaptive_ttl = false"
	}
	return ""
}

func (o ttlOwner) release() { closeFormer(o.cache.UseTTL(nil)) }

func (o ttlOwner) adopt(_ context.Context, loaded *ref.Loaded, env ref.Env, health *guard.Health) error {
	env.Features = o.cache.Features()
	p, err := loaded.TTL(env)
	if err != nil {
		return err
	}
	fallback, err := builtin.TTL("linear", builtin.Env{Features: env.Features, Seed: env.Seed, Now: env.Now})
	if err != nil {
		return err
	}
	if !o.enabled() {
		closeFormer(o.cache.UseTTL(nil))
		closeFormer(p)
		return nil
	}
	closeFormer(o.cache.UseTTL(&drainedTTL{policy: guard.TTL(p, fallback, health), fallback: fallback}))
	return nil
}

// drainedTTL lets an exchange wait for decisions in flight before the former
// policy is closed; a decision that comes later is the built-in's.
type drainedTTL struct {
	policy   *guard.TTLGuard
	fallback policies.TTL

	mu sync.RWMutex
	// guards the field below
	closed bool
}

var _ policies.TTL = (*drainedTTL)(nil)

// Info describes the guarded policy.
func (d *drainedTTL) Info() policies.Info { return d.policy.Info() }

// TTL asks the policy while it is seated.
func (d *drainedTTL) TTL(in *policies.TTLBatch, out []policies.Nanos) error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.closed {
		return d.fallback.TTL(in, out)
	}
	return d.policy.TTL(in, out)
}

// Close waits for decisions in flight.
func (d *drainedTTL) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	return d.policy.Close()
}

// prefetchOwner is a cache as the owner of its prefetch policy.
type prefetchOwner struct {
	cache   managedCache
	enabled func() bool
}

func (o prefetchOwner) off() string {
	if !o.enabled() {
		return "prefetch.enabled = false"
	}
	return ""
}

func (o prefetchOwner) release() { closeFormer(o.cache.UsePrefetch(nil)) }

func (o prefetchOwner) adopt(_ context.Context, loaded *ref.Loaded, env ref.Env, health *guard.Health) error {
	env.Features = o.cache.Features()
	p, err := loaded.Prefetch(env)
	if err != nil {
		return err
	}
	closeFormer(o.cache.UsePrefetch(guard.Prefetch(p, health)))
	return nil
}

// scalingOwner is the scheduler as the owner of its scaling policy.
type scalingOwner struct {
	scheduler *scheduler.Scheduler
	enabled   func() bool
}

func (o scalingOwner) off() string {
	if !o.enabled() {
		return "scheduler.adaptive_limit = false"
	}
	return ""
}

func (o scalingOwner) release() {
	if p, err := builtin.Scaling("fixed", builtin.Env{}); err == nil {
		closeFormer(o.scheduler.UseScaling(p))
	}
}

func (o scalingOwner) adopt(_ context.Context, loaded *ref.Loaded, env ref.Env, health *guard.Health) error {
	p, err := loaded.Scaling(env)
	if err != nil {
		return err
	}
	fallback, err := builtin.Scaling("linear", builtin.Env{Seed: env.Seed, Now: env.Now})
	if err != nil {
		return err
	}
	closeFormer(o.scheduler.UseScaling(guard.Scaling(p, fallback, health)))
	return nil
}

// closeFormer closes a policy that is no longer asked, where it holds
// something.
func closeFormer(p any) {
	if c, ok := p.(io.Closer); ok {
		_ = c.Close() // it has left its seat: nobody waits for how it ends
	}
}
