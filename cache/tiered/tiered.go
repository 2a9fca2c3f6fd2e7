// Package tiered is a cache of two tiers: entries of this process (package
// cache) over a store that several processes share (package l2). It knows what
// the tiers do not: that an entry may be resident and stale, that a stale one
// may be validated, that callers of one key share one load, and that what a
// client will ask for can be loaded before it does.
//
// The main types and how they meet:
//   - [Cache] is the whole. Get answers from L1 alone; Fetch goes on to L2 and
//     then to a [Loader], one load a key ([Loaded] says what it found).
//   - [Item] is an answer; its freshness ends at FreshUntil, while the entry
//     stays for [Loaded].Keep longer as a [Prior] that a load may validate.
//   - [Codec] turns values into bytes for L2.
//   - [PrefetchOptions] describe the engine that loads ahead of clients what the
//     prefetch policy proposes, within bounds that keep it from harm.
//
// What is promised: a delete voids the key in both tiers, at once for callers
// of this process, and no load that began before it brings the value back
// (leases: Nishtala et al., Scaling Memcache at Facebook, NSDI 2013). L2 never
// fails a call and holds it no longer than its timeout. A load outlives the
// caller that began it as long as another waits; a panic of a loader is an
// error of all its waiters; an answer marked NoStore reaches one caller only.
//
// This package must not know HTTP, which policy sits where, or how L2 is
// reached. It calls no loader, codec or listener under a lock; the prefetch
// policy is called under one that nobody waits for but [Cache.UsePrefetch].
//
// Caveats. An entry that other processes changed in L2 is not noticed while it
// is fresh in L1; purges are noticed within five seconds. Values are shared
// between callers. Between overlapping writes of one key the last may be
// dropped from both tiers, never split between them.
package tiered

import (
	"errors"
	"fmt"
	"hash/maphash"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	hclog "github.com/hashicorp/go-hclog"

	"github.com/perfopt/perfopt/cache"
	"github.com/perfopt/perfopt/cache/l2"
	"github.com/perfopt/perfopt/policies"
)

// Options configure a cache. L1.Capacity is required, with L2 also a Codec,
// and a KeyString where keys are not strings.
type Options[K comparable, V any] struct {
	// Name is the cache's name: part of its keys in L2 and of log lines.
	// Default "default".
	Name string
	// L1 configures the first tier. DefaultTTL is not used (see TTL). With L2,
	// Now must be left nil or show the wall clock: entries of L2 carry its times.
	L1 cache.Options[K, V]
	// L2 is the second tier's store, which the cache then owns and closes;
	// nil: none. Where New fails the store is still the caller's.
	L2 l2.Store
	// L2Timeout bounds what a read of L2 may add to a Fetch. Default 50 ms.
	L2Timeout time.Duration
	// L2Prefix stands before the name of every key in L2. Default "perfopt:"
	// followed by Name and a colon.
	L2Prefix string
	// L2MaxValue bounds an encoded value in L2, in bytes; larger ones stay in
	// L1 alone. Default 1 MiB. The store's own bound must not be less.
	L2MaxValue int

	// KeyString is the text of a key: its name in L2 and for people; equal
	// keys alone have equal texts. Default: the key itself if it is a string.
	KeyString func(K) string
	// ParseKey is the reverse, for the calls that name a key by its text.
	// Default: the text itself if keys are strings.
	ParseKey func(string) (K, error)
	// Codec turns values into bytes. Needed with L2; without it, it tells
	// whether a reload found the value changed.
	Codec Codec[V]
	// Identity is what of a value counts as its content when a reload is
	// compared with what was there, for values that carry more than that, such
	// as the time they were received. Default: a hash of the encoding.
	Identity func(V) uint64
	// CodecID is 1..254 and stands in every envelope; entries of another one
	// are not read. Default: one for each codec of this package, 1 for others.
	CodecID uint8

	// TTL is the freshness of a value whose load states none. Default 5 min.
	TTL time.Duration
	// MinTTL and MaxTTL bound what the TTL policy decides where the load says
	// nothing else. Default 0 and 24 h.
	MinTTL, MaxTTL time.Duration
	// LoadTimeout ends a load's context; its callers are then released with
	// [ErrLoadTimeout] whatever the loader does. Default 30 s; negative: none.
	LoadTimeout time.Duration

	// Prefetch configures loading ahead. Default: off.
	Prefetch PrefetchOptions[K, V]
	// Logger hears of L2 going and coming back (warn, info) and of prefetch
	// faults (warn). Default: nobody.
	Logger hclog.Logger
}

// What a call can fail with besides what loaders return.
var (
	ErrLoadTimeout = errors.New("the load took too long")
	ErrClosed      = errors.New("the cache is closed")
	ErrNoStore     = errors.New("a value marked NoStore cannot be stored")
)

// PanicError is what the callers of a load get whose loader panicked.
type PanicError = cache.PanicError

// Cache is a cache of two tiers. Safe for concurrent use. Close ends it.
type Cache[K comparable, V any] struct {
	o       Options[K, V]
	l1      *cache.Cache[K, *held[V]]
	l2      *l2.Tier // nil: none
	l2Away  atomic.Bool
	now     func() policies.Nanos
	flights *flights[K, V]
	solos   solos[K]
	purges  purges
	engine  *engine[K, V] // nil: prefetch is off
	log     hclog.Logger
	n       counters

	// writes has one sequence for each of the writeStripes: a write that finds
	// it moved on at its end has overlapped another.
	writes [writeStripes]atomic.Uint64
	seed   maphash.Seed

	stop  chan struct{} // closed by Close
	once  sync.Once
	owned sync.WaitGroup // this cache's goroutines but the loads
}

// writeStripes bounds the memory of write sequences. Two keys of one stripe
// written at the same moment cost one of them its entry.
const writeStripes = 1024

// New returns a cache, or all that is wrong with its options. It does not wait
// for L2.
func New[K comparable, V any](o Options[K, V]) (*Cache[K, V], error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Cache[K, V]{
		o: o, now: o.L1.Now, log: o.Logger, seed: maphash.MakeSeed(), stop: make(chan struct{}),
		flights: newFlights[K, V](o.LoadTimeout),
	}
	c.solos.seed = c.seed
	c.purges.nudge = make(chan struct{}, 1)
	if c.now == nil {
		c.now = wallClock()
	}
	if o.Prefetch.Enabled {
		c.engine = newEngine(c)
	}
	if c.l1, err = cache.New(c.l1Options()); err != nil {
		return nil, fmt.Errorf("cache %s: %w", o.Name, err)
	}
	if o.L2 != nil {
		c.l2 = l2.NewTier(l2.TierOptions{
			Store: o.L2, Prefix: o.L2Prefix, Timeout: o.L2Timeout, MaxTTL: maxKept,
			MaxValue: max(o.L2MaxValue, 0), OnState: c.l2State,
		})
		c.owned.Go(c.syncPurges)
	}
	if c.engine != nil {
		c.owned.Go(c.engine.run)
	}
	return c, nil
}

// maxKept bounds the life of an entry in L2, freshness and validation time
// together.
const maxKept = 30 * 24 * time.Hour

func (o Options[K, V]) withDefaults() (Options[K, V], error) {
	var problems []error
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if o.Name == "" {
		o.Name = "default"
	}
	if o.L2Prefix == "" {
		o.L2Prefix = "perfopt:" + o.Name + ":"
	}
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	text := reflect.TypeFor[K]().Kind() == reflect.String
	if o.KeyString == nil && text {
		o.KeyString = func(k K) string { return reflect.ValueOf(k).String() }
		if _, plain := any(*new(K)).(string); plain {
			o.KeyString = func(k K) string { return any(k).(string) }
		}
	}
	if o.ParseKey == nil && text {
		o.ParseKey = func(s string) (k K, err error) {
			reflect.ValueOf(&k).Elem().SetString(s)
			return k, nil
		}
	}
	if o.L2 != nil && o.KeyString == nil {
		wrong("KeyString is missing: keys of type %v have no text for L2", reflect.TypeFor[K]())
	}
	if o.L2 != nil && o.Codec == nil {
		wrong("Codec is missing: values of type %v have no encoding for L2", reflect.TypeFor[V]())
	}
	if o.CodecID == purgeCodec {
		wrong("CodecID %d: want 1 to %d", o.CodecID, purgeCodec-1)
	}
	if o.Codec != nil && o.CodecID == 0 {
		o.CodecID = codecID(o.Codec)
	}
	if o.TTL == 0 {
		o.TTL = 5 * time.Minute
	}
	if o.MaxTTL == 0 {
		o.MaxTTL = 24 * time.Hour
	}
	if o.TTL < 0 || o.MinTTL < 0 || o.MaxTTL < o.MinTTL {
		wrong("TTL %v within %v to %v: want none negative and the bounds in order", o.TTL, o.MinTTL, o.MaxTTL)
	}
	switch {
	case o.LoadTimeout == 0:
		o.LoadTimeout = 30 * time.Second
	case o.LoadTimeout < 0:
		o.LoadTimeout = 0
	}
	if err := o.Prefetch.fill(); err != nil {
		problems = append(problems, err)
	}
	if len(problems) > 0 {
		return o, fmt.Errorf("cache %s: %w", o.Name, errors.Join(problems...))
	}
	return o, nil
}

// l1Options are the first tier's: those of the caller over what it really
// holds.
func (c *Cache[K, V]) l1Options() cache.Options[K, *held[V]] {
	o := c.o.L1
	out := cache.Options[K, *held[V]]{
		Capacity: o.Capacity, MaxEntries: o.MaxEntries, MaxWeight: o.MaxWeight, KeyHash: o.KeyHash, Salt: o.Salt,
		Now: o.Now, Inline: o.Inline, Eviction: o.Eviction, TTL: o.TTL, OnBatch: c.tap(o.OnBatch), OnPolicyFault: o.OnPolicyFault,
		OnRemoval: c.removed,
	}
	if weigh := o.Weigher; weigh != nil {
		out.Weigher = func(k K, h *held[V]) uint32 { return weigh(k, h.value) }
	}
	return out
}

// removed hears of every entry that left L1.
func (c *Cache[K, V]) removed(r cache.Removal[K, *held[V]]) {
	if c.engine != nil {
		c.engine.removed(r.Key, r.Value, r.Cause)
	}
	if c.o.L1.OnRemoval != nil {
		c.o.L1.OnRemoval(cache.Removal[K, V]{Key: r.Key, Value: r.Value.value, Cause: r.Cause})
	}
}

// tap adds the prefetch engine to whoever else listens to batches.
func (c *Cache[K, V]) tap(next func(policies.Nanos, []policies.Event, []policies.Insert)) func(policies.Nanos, []policies.Event, []policies.Insert) {
	if c.engine == nil {
		return next
	}
	return func(now policies.Nanos, events []policies.Event, inserts []policies.Insert) {
		c.engine.tee.add(events, inserts)
		if next != nil {
			next(now, events, inserts)
		}
	}
}

// l2State tells the log that L2 went or came back. A probe that fails is no
// news.
func (c *Cache[K, V]) l2State(s l2.State, last error) {
	switch s {
	case l2.StateOpen:
		c.purges.known.Store(false) // others may purge meanwhile
		if c.l2Away.Swap(true) {
			return
		}
		c.log.Warn("second cache tier is away, serving without it", "cache", c.o.Name, "error", last)
	case l2.StateClosed:
		c.l2Away.Store(false)
		c.log.Info("second cache tier is back", "cache", c.o.Name)
		select {
		case c.purges.nudge <- struct{}{}:
		default:
		}
	}
}

// Close ends prefetching and the loads in flight (it waits for them: a loader
// must end with its context) and delivers what waits for L2, for at most a
// second. The cache remains usable on L1 alone, without coalescing. Safe to call
// twice.
func (c *Cache[K, V]) Close() error {
	c.once.Do(func() { close(c.stop) })
	c.owned.Wait()
	c.flights.close()
	c.engine.close()
	if c.l2 != nil {
		c.l2.Close()
	}
	c.l1.Close()
	return nil
}

// wallClock is the wall clock at its start, moved on by the monotonic one, as
// the first tier's.
func wallClock() func() policies.Nanos {
	start := time.Now()
	wall := policies.Nanos(start.UnixNano())
	return func() policies.Nanos { return wall + policies.Nanos(time.Since(start)) }
}

// moment is a time of the cache's clock.
func moment(n policies.Nanos) time.Time { return time.Unix(0, int64(n)) }
