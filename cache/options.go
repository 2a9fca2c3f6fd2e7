package cache

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/features"
)

const (
	// maxEntries is the largest number of entries: slots have 27 bits and some
	// are spare.
	maxEntries = 1 << 26
	// minWeighedEntries and weightPerEntry bound the entries of a weighed
	// cache that does not say: one for each 256 units, at least 1,024.
	minWeighedEntries = 1024
	weightPerEntry    = 256
)

// Options configure a cache. Only Capacity is required.
type Options[K comparable, V any] struct {
	// Capacity bounds the sum of the weights of the residents. At least 1.
	// While no write is in progress the sum is at most Capacity; each write in
	// progress may exceed it by the weight that it brings, and makes that room
	// before it returns.
	Capacity int64
	// MaxEntries bounds the number of residents likewise. Default: Capacity
	// without a Weigher, else Capacity/256, at least 1,024; at most 1<<26.
	MaxEntries int
	// Weigher returns the weight of an entry in units of Capacity; it is called
	// once a write, by the writer, under no lock. Default: 1 each. An entry that
	// is heavier than MaxWeight is refused.
	Weigher func(K, V) uint32
	// MaxWeight is the heaviest entry that is stored. Default: Capacity.
	MaxWeight uint32

	// KeyHash returns the hash under which policies know a key; equal keys
	// need equal hashes. Default: a hash of the key salted with Salt, which for
	// strings and integers depends on the salt alone, for other types on the
	// process too.
	KeyHash func(K) policies.KeyHash
	// Salt keeps clients from choosing keys that collide. Keep it secret, and
	// keep it where policies carry state over a restart.
	Salt uint64

	// DefaultTTL is the life of an entry whose write asks for none and where no
	// TTL policy is seated. Default 0: entries do not expire.
	DefaultTTL time.Duration
	// Now is the cache's clock; its readings must not go back. Default: the
	// wall clock at New moved on by the monotonic clock, so that a jump of the
	// wall clock expires nothing.
	Now func() policies.Nanos
	// Inline runs all maintenance on the caller, with no goroutine and no loss
	// of events, for replays that are exact. Such a cache is for one goroutine
	// at a time.
	Inline bool

	// Eviction makes the first eviction policy over the cache's features.
	// Default: linear.
	Eviction func(*features.Table) (policies.Orderer, error)
	// TTL is the first TTL policy. Default: none, DefaultTTL holds.
	TTL policies.TTL

	// OnRemoval is told of each entry that left, by whoever took it out, after
	// the fact and under no lock. It may call the cache.
	OnRemoval func(Removal[K, V])
	// OnBatch is shown every batch of at most 1,024 events before the eviction
	// policy is, by one goroutine at a time. Evictions that the policy itself
	// named are not among them. The slices are the cache's. It must not call
	// the cache's maintenance (Sync, UseEviction, Close).
	OnBatch func(now policies.Nanos, events []policies.Event, inserts []policies.Insert)
	// OnPolicyFault is told, under no lock, that the eviction policy failed and
	// that the host's sampler makes room until the next UseEviction.
	OnPolicyFault func(error)
}

// withDefaults returns the options with defaults filled in, or all that is
// wrong with them.
func (o Options[K, V]) withDefaults() (Options[K, V], error) {
	var problems []error
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if o.Capacity < 1 {
		wrong("capacity %d: want at least 1", o.Capacity)
	}
	if o.MaxEntries < 0 || o.MaxEntries > maxEntries {
		wrong("max entries %d: want 0 (default) to %d", o.MaxEntries, maxEntries)
	}
	if o.DefaultTTL < 0 {
		wrong("default TTL %v: want 0 (never) or more", o.DefaultTTL)
	}
	if o.MaxEntries == 0 {
		n := o.Capacity
		if o.Weigher != nil {
			n = max(o.Capacity/weightPerEntry, minWeighedEntries)
		} else if n > maxEntries {
			wrong("capacity %d entries: want at most %d, or a Weigher", n, maxEntries)
		}
		o.MaxEntries = int(min(n, maxEntries))
	}
	if o.MaxWeight == 0 || int64(o.MaxWeight) > o.Capacity {
		o.MaxWeight = uint32(min(o.Capacity, math.MaxUint32))
	}
	if len(problems) > 0 {
		return o, fmt.Errorf("cache: %w", errors.Join(problems...))
	}
	return o, nil
}
