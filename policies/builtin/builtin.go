// Package builtin is the plain table of the policies that are part of perfopt:
// kind and name to constructor.
//
//   - [Names] lists the names of a kind, the default first.
//   - [Eviction], [TTL], [Prefetch] and [Scaling] construct one instance.
//   - [Validate] says what is wrong with a name or its configuration without
//     keeping anything; [Keys] lists the configuration keys of a policy.
//
// Configuration is what a file or a request said, decoded strictly: an unknown
// key, a wrong type and a number out of range are errors, reported together.
// Times are strings with units ("7s") or numbers of seconds.
//
// The package must not know where a reference to a policy came from, nor any
// WebAssembly: package hostabi/ref resolves references and asks this table for
// those that begin with "builtin:".
//
// Caveats. There is no registration: a policy is added to the table below. An
// eviction policy in the scoring form needs Env.Features, the table that its
// host keeps up to date.
package builtin

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/eviction"
	"github.com/perfopt/perfopt/policies/features"
	"github.com/perfopt/perfopt/policies/linear"
	"github.com/perfopt/perfopt/policies/prefetch"
	"github.com/perfopt/perfopt/policies/scaling"
	"github.com/perfopt/perfopt/policies/ttl"
)

// Env is what an instance is constructed with.
type Env struct {
	// Features is the table of the host's keys. Needed by linear eviction.
	Features *features.Table
	// Seed of whatever is random.
	Seed uint64
	// Now is the host's clock. No built-in policy reads it; it is here so that
	// one Env serves modules and built-ins.
	Now func() policies.Nanos
	// Config is the policy's configuration; nil means the defaults.
	Config map[string]any
}

// policy is a row of the table: what its configuration decodes into and how it
// is made from that.
type policy[P any] struct {
	name    string
	options func() any
	make    func(options any, env Env) (P, error)
}

// entry is a row whose constructor takes options of type O.
func entry[O, P any](name string, construct func(O, Env) (P, error)) policy[P] {
	return policy[P]{
		name:    name,
		options: func() any { return new(O) },
		make:    func(options any, env Env) (P, error) { return construct(*options.(*O), env) },
	}
}

// nothing is the configuration of a policy that has none.
type nothing struct{}

func evictions() []policy[policies.Orderer] {
	return []policy[policies.Orderer]{
		entry("linear", func(o linear.EvictionOptions, env Env) (policies.Orderer, error) {
			if env.Features == nil {
				return nil, errors.New("it needs the table of features of its cache")
			}
			return linear.NewEviction(env.Features, o, env.Seed)
		}),
		entry("lru", func(nothing, Env) (policies.Orderer, error) { return eviction.NewLRU(), nil }),
		entry("fifo", func(nothing, Env) (policies.Orderer, error) { return eviction.NewFIFO(), nil }),
		entry("s3fifo", func(nothing, Env) (policies.Orderer, error) { return eviction.NewS3FIFO(), nil }),
		entry("sieve", func(nothing, Env) (policies.Orderer, error) { return eviction.NewSieve(), nil }),
		entry("lfu", func(nothing, Env) (policies.Orderer, error) { return eviction.NewLFU(), nil }),
		entry("gdsf", func(nothing, Env) (policies.Orderer, error) { return eviction.NewGDSF(), nil }),
	}
}

func ttls() []policy[policies.TTL] {
	return []policy[policies.TTL]{
		entry("linear", func(o linear.TTLOptions, _ Env) (policies.TTL, error) { return linear.NewTTL(o) }),
		entry("fixed", func(o ttl.FixedOptions, _ Env) (policies.TTL, error) { return ttl.NewFixed(o) }),
		entry("change-rate", func(o ttl.ChangeRateOptions, _ Env) (policies.TTL, error) { return ttl.NewChangeRate(o) }),
	}
}

func prefetches() []policy[policies.Prefetch] {
	return []policy[policies.Prefetch]{
		entry("linear", func(o linear.PrefetchOptions, _ Env) (policies.Prefetch, error) { return linear.NewPrefetch(o) }),
		entry("refresh-ahead", func(o prefetch.RefreshAheadOptions, _ Env) (policies.Prefetch, error) {
			return prefetch.NewRefreshAhead(o)
		}),
		entry("association", func(o prefetch.AssociationOptions, _ Env) (policies.Prefetch, error) {
			return prefetch.NewAssociation(o)
		}),
		entry("none", func(nothing, Env) (policies.Prefetch, error) { return prefetch.NewNone(), nil }),
	}
}

func scalings() []policy[policies.Scaling] {
	return []policy[policies.Scaling]{
		entry("linear", func(o scaling.LinearOptions, _ Env) (policies.Scaling, error) { return scaling.NewLinear(o) }),
		entry("aimd", func(o scaling.AIMDOptions, _ Env) (policies.Scaling, error) { return scaling.NewAIMD(o) }),
		entry("fixed", func(o scaling.FixedOptions, _ Env) (policies.Scaling, error) { return scaling.NewFixed(o) }),
		entry("gradient2", func(nothing, Env) (policies.Scaling, error) { return scaling.NewGradient2(), nil }),
	}
}

// Names returns the names of the built-in policies of a kind, the default
// first; nil for an unknown kind.
func Names(k policies.Kind) []string {
	switch k {
	case policies.KindEviction:
		return names(evictions())
	case policies.KindTTL:
		return names(ttls())
	case policies.KindPrefetch:
		return names(prefetches())
	case policies.KindScaling:
		return names(scalings())
	}
	return nil
}

func names[P any](table []policy[P]) (out []string) {
	for _, p := range table {
		out = append(out, p.name)
	}
	return out
}

// Eviction returns a new instance of the eviction policy of that name.
func Eviction(name string, env Env) (policies.Orderer, error) {
	return build(policies.KindEviction, evictions(), name, env)
}

// TTL returns a new instance of the TTL policy of that name.
func TTL(name string, env Env) (policies.TTL, error) {
	return build(policies.KindTTL, ttls(), name, env)
}

// Prefetch returns a new instance of the prefetch policy of that name.
func Prefetch(name string, env Env) (policies.Prefetch, error) {
	return build(policies.KindPrefetch, prefetches(), name, env)
}

// Scaling returns a new instance of the scaling policy of that name.
func Scaling(name string, env Env) (policies.Scaling, error) {
	return build(policies.KindScaling, scalings(), name, env)
}

func build[P any](k policies.Kind, table []policy[P], name string, env Env) (P, error) {
	var none P
	row, err := find(k, table, name)
	if err != nil {
		return none, err
	}
	options := row.options()
	if err := decode(env.Config, options); err != nil {
		return none, fmt.Errorf("%s policy builtin:%s: %w", k, name, err)
	}
	p, err := row.make(options, env)
	if err != nil {
		return none, fmt.Errorf("%s policy builtin:%s: %w", k, name, err)
	}
	return p, nil
}

func find[P any](k policies.Kind, table []policy[P], name string) (policy[P], error) {
	i := slices.IndexFunc(table, func(p policy[P]) bool { return p.name == name })
	if i < 0 {
		return policy[P]{}, fmt.Errorf("no built-in %s policy is named %q: there are %s", k, name, strings.Join(names(table), ", "))
	}
	return table[i], nil
}

// Validate says what is wrong with the name of a policy or its configuration,
// nil where an instance could be constructed.
func Validate(kind, name string, config map[string]any) error {
	k, err := policies.ParseKind(kind)
	if err != nil {
		return err
	}
	env := Env{Config: config}
	switch k {
	case policies.KindEviction:
		env.Features = features.New(features.Options{MaxSlots: 1})
		_, err = Eviction(name, env)
	case policies.KindTTL:
		_, err = TTL(name, env)
	case policies.KindPrefetch:
		_, err = Prefetch(name, env)
	case policies.KindScaling:
		_, err = Scaling(name, env)
	}
	return err
}

// Keys returns the configuration keys of a policy in alphabetical order; nil
// where it has none or is unknown.
func Keys(k policies.Kind, name string) []string {
	switch k {
	case policies.KindEviction:
		return keys(k, evictions(), name)
	case policies.KindTTL:
		return keys(k, ttls(), name)
	case policies.KindPrefetch:
		return keys(k, prefetches(), name)
	case policies.KindScaling:
		return keys(k, scalings(), name)
	}
	return nil
}

func keys[P any](k policies.Kind, table []policy[P], name string) []string {
	row, err := find(k, table, name)
	if err != nil {
		return nil
	}
	return knownKeys(row.options())
}
