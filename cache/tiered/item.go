package tiered

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/perfopt/perfopt/policies"
)

// Source says where an answer came from.
type Source string

// The sources of an [Item].
const (
	SourceL1          Source = "l1"          // resident and fresh
	SourceL2          Source = "l2"          // from the second tier, fresh
	SourceLoad        Source = "load"        // loaded for this caller, who began the load
	SourceCoalesced   Source = "coalesced"   // from a load that another caller had begun
	SourcePrivate     Source = "private"     // loaded for this caller alone and not stored
	SourceRevalidated Source = "revalidated" // a stale entry that its origin found unchanged
)

// Item is an answer of a cache. The value is shared: do not change what it
// refers to.
type Item[V any] struct {
	Value      V
	StoredAt   policies.Nanos // when it was stored in the tier that answered
	FreshUntil policies.Nanos // end of freshness; at or before StoredAt: never fresh
	Source     Source
}

// Prior is what a load may validate instead of loading anew: an entry whose
// freshness is over (or, for a prefetch, about to be).
type Prior[V any] struct {
	Value  V
	Exists bool
}

// NoOrigin in [FreshnessInput].Origin says that the origin stated no freshness.
const NoOrigin time.Duration = -1

// FreshnessInput is what the TTL policy is asked with about a loaded value.
// Note that its zero value says "stale at once"; [Default] is the one that
// leaves all to the cache.
type FreshnessInput struct {
	// Base is the freshness that holds without a policy; 0: Options.TTL.
	Base time.Duration
	// Origin is the explicit freshness that the origin stated, an upper bound
	// that nothing raises; 0: stale at once; negative ([NoOrigin]): none.
	Origin time.Duration
	// Min and Max bound the answer; 0: Options.MinTTL and Options.MaxTTL.
	Min, Max time.Duration
}

// Default is the input that leaves the freshness to the cache's options and
// policy.
func Default() FreshnessInput { return FreshnessInput{Origin: NoOrigin} }

// Loaded is what a [Loader] found.
type Loaded[V any] struct {
	// Value is the value. With NotModified a zero Value stands for the prior
	// one; any other replaces it (the same content with later metadata).
	Value V
	// NoStore: neither stored nor shown to other callers that wait for this
	// load; each of them loads for itself.
	NoStore bool
	// Fresh says how long the value may be served.
	Fresh FreshnessInput
	// Keep is how long the entry stays beyond its freshness, to be validated.
	Keep time.Duration
	// NotModified: the prior value was found unchanged.
	NotModified bool
	// Cost is what loading took; 0: as measured around the loader.
	Cost time.Duration
}

// Loader loads the value of a key. Called by a goroutine of its own, without
// locks; it must end when ctx does. ctx carries the values of the context of the
// caller that began the load, and not its end, unless all callers have gone.
type Loader[K comparable, V any] func(ctx context.Context, key K, prior Prior[V]) (Loaded[V], error)

// How far a prefetched entry has come.
const (
	prefetchNone   uint32 = iota // not prefetched, or settled
	prefetchIssued               // nobody has asked for it yet
)

// held is what L1 keeps of a key. All but the atomic field is immutable.
type held[V any] struct {
	value      V
	asOf       policies.Nanos // the moment whose state the value shows: its load's begin
	storedAt   policies.Nanos
	freshUntil policies.Nanos
	cost       time.Duration
	digest     uint64 // of the encoded value; 0 = unknown
	changed    uint32 // reloads that found another value
	unchanged  uint32 // reloads and validations that found the same

	// nearFrom is when freshness is so near its end that an access makes the
	// entry a candidate for prefetch.
	nearFrom policies.Nanos
	// usefulFrom is when an access begins to show that a prefetch was useful:
	// where it refreshed an entry, not before that one's freshness was over.
	usefulFrom policies.Nanos
	prefetch   atomic.Uint32 // written by whoever settles the prefetch, once
	offered    atomic.Bool   // an access has made it a candidate
}

func (h *held[V]) item(s Source) Item[V] {
	return Item[V]{Value: h.value, StoredAt: h.storedAt, FreshUntil: h.freshUntil, Source: s}
}

// settlePrefetch ends the question whether a prefetch was useful; true for the
// one caller that ends it.
func (h *held[V]) settlePrefetch() bool {
	return h.prefetch.Load() == prefetchIssued && h.prefetch.CompareAndSwap(prefetchIssued, prefetchNone)
}
