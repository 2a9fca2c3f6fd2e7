package ref

import (
	"context"
	"fmt"
	"sync"

	"github.com/hashicorp/go-hclog"

	"github.com/perfopt/perfopt/hostabi"
	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/builtin"
	"github.com/perfopt/perfopt/policies/features"
)

// Env is what an instance is given.
type Env struct {
	// Features are the cache's. Needed by eviction that scores candidates and by
	// the native policies that predict.
	Features *features.Table
	// Seed makes the instance's randomness.
	Seed uint64
	// Now is the clock. Default: the real one.
	Now func() policies.Nanos
	// Logger receives a module's lines. Default: the host's.
	Logger hclog.Logger
	// Metric receives a module's declared metrics. Default: none.
	Metric func(name string, v float64)
	// Replay and Shadow are told to a module.
	Replay, Shadow bool
}

// Loaded is an opened reference for one kind of decision. Safe for concurrent
// use.
type Loaded struct {
	ref     string
	kind    policies.Kind
	config  map[string]any
	builtin string          // name of a native policy, or
	module  *hostabi.Module // a module
	release func() error

	once sync.Once
	err  error // of release
}

// check refuses a module that does not decide the kind, or not with that
// config, or not sensibly.
func (l *Loaded) check(ctx context.Context, trial bool) error {
	m := l.module.Manifest()
	if !m.Has(l.kind) {
		return fmt.Errorf("module %s decides %v, want %s", m.Name, m.Kinds, l.kind)
	}
	if err := l.module.ValidateConfig(l.config); err != nil {
		return err
	}
	if trial {
		return l.module.Trial(ctx, l.kind, l.config)
	}
	return nil
}

// Ref returns the reference that was opened, "sha256:HEX" for bytes.
func (l *Loaded) Ref() string { return l.ref }

// Kind returns the kind of decision that it was opened for.
func (l *Loaded) Kind() policies.Kind { return l.kind }

// Digest returns the SHA-256 of the module in lower-case hexadecimal, empty for
// a native policy.
func (l *Loaded) Digest() string {
	if l.module == nil {
		return ""
	}
	return l.module.Digest()
}

// Manifest returns what the module says of itself; false for a native policy.
func (l *Loaded) Manifest() (hostabi.Manifest, bool) {
	if l.module == nil {
		return hostabi.Manifest{}, false
	}
	return l.module.Manifest(), true
}

// Module returns the loaded module, nil for a native policy.
func (l *Loaded) Module() *hostabi.Module { return l.module }

// Info describes the policy without making an instance. Of a native policy it
// has the name and the kind.
func (l *Loaded) Info() policies.Info {
	if l.module == nil {
		return policies.Info{Name: l.builtin, Kind: l.kind}
	}
	return l.module.Info(l.kind)
}

// Eviction makes an instance that decides evictions. It must be Reset before it
// is used, and closed afterwards if it is an io.Closer, as all of them.
func (l *Loaded) Eviction(env Env) (policies.Orderer, error) {
	if l.module == nil {
		return builtin.Eviction(l.builtin, l.native(env))
	}
	return l.module.Eviction(l.host(env))
}

// TTL makes an instance that decides lifetimes, safe for concurrent use.
func (l *Loaded) TTL(env Env) (policies.TTL, error) {
	if l.module == nil {
		return builtin.TTL(l.builtin, l.native(env))
	}
	return l.module.TTL(l.host(env))
}

// Prefetch makes an instance that chooses what to load ahead.
func (l *Loaded) Prefetch(env Env) (policies.Prefetch, error) {
	if l.module == nil {
		return builtin.Prefetch(l.builtin, l.native(env))
	}
	return l.module.Prefetch(l.host(env))
}

// Scaling makes an instance that decides the concurrency limit.
func (l *Loaded) Scaling(env Env) (policies.Scaling, error) {
	if l.module == nil {
		return builtin.Scaling(l.builtin, l.native(env))
	}
	return l.module.Scaling(l.host(env))
}

// Close lets go of the module. Instances go on working until they are closed.
// Safe to call twice.
func (l *Loaded) Close() error {
	l.once.Do(func() {
		if l.release != nil {
			l.err = l.release()
		}
	})
	return l.err
}

func (l *Loaded) native(env Env) builtin.Env {
	return builtin.Env{Features: env.Features, Seed: env.Seed, Now: env.Now, Config: l.config}
}

func (l *Loaded) host(env Env) hostabi.Env {
	return hostabi.Env{
		Features: env.Features, Config: l.config, Seed: env.Seed, Now: env.Now, Logger: env.Logger, Metric: env.Metric,
		Replay: env.Replay, Shadow: env.Shadow,
	}
}
