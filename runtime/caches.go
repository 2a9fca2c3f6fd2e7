package perfopt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/perfopt/perfopt/cache"
	"github.com/perfopt/perfopt/cache/l2"
	"github.com/perfopt/perfopt/cache/patterns"
	"github.com/perfopt/perfopt/cache/tiered"
	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/features"
	"github.com/perfopt/perfopt/policies/linear"
	"github.com/perfopt/perfopt/scheduler"
)

// managedCache is what the runtime needs of a cache whatever its types.
type managedCache interface {
	UseEviction(ctx context.Context, create func(*features.Table) (policies.Orderer, error)) error
	UseTTL(policies.TTL) policies.TTL
	UsePrefetch(policies.Prefetch) policies.Prefetch
	Features() *features.Table
	Stats() tiered.Stats
	ExplainKey(key string) (tiered.Explanation, bool)
	Top(n int) []tiered.TopEntry
	DeleteKey(ctx context.Context, key string) (bool, error)
	PurgePrefix(ctx context.Context, prefix string) error
	Close() error
}

// observed is a managed cache with what watches its accesses.
type observed struct {
	managedCache
	name     string
	patterns *patterns.Analyzer
	accuracy *linear.Accuracy
}

// cacheParts are what differs between caches.
type cacheParts[K comparable, V any] struct {
	weigher   func(K, V) uint32
	keyString func(K) string
	parseKey  func(string) (K, error)
	codec     tiered.Codec[V]
	identity  func(V) uint64
	load      tiered.Loader[K, V] // without a client: prefetch
	// loadTimeout ends a load; 0: origin.timeout; negative: never.
	loadTimeout time.Duration
}

// openCache builds the cache of that name as the configuration says, with its
// seats.
func openCache[K comparable, V any](rt *Runtime, name string, parts cacheParts[K, V]) (*tiered.Cache[K, V], error) {
	rt.mu.Lock()
	_, taken := rt.caches[name]
	rt.mu.Unlock()
	if taken {
		return nil, fmt.Errorf("cache %s exists already", name)
	}
	cfg := rt.config()
	own := cfg.Resolved(name)
	var store l2.Store
	if cfg.Cache.L2.URL != "" {
		redis, err := l2.OpenRedis(cfg.Cache.L2.URL, l2.RedisOptions{
			Timeout: cfg.Cache.L2.Timeout.Std(), MaxValue: int(cfg.Cache.L2.MaxValue),
		})
		if err != nil {
			return nil, fmt.Errorf("cache.l2.url: %w", err)
		}
		store = redis
	}
	watch := &watcher{analyzer: patterns.New(patterns.Options{Capacity: own.Capacity.Bytes()})}
	c, err := tiered.New(tiered.Options[K, V]{
		Name: name,
		L1: cache.Options[K, V]{
			Capacity: own.Capacity.Bytes(), MaxEntries: own.MaxEntries, Weigher: parts.weigher, Salt: rt.seed,
			OnBatch: watch.observe,
			OnPolicyFault: func(err error) {
				rt.log.Warn("eviction policy failed, the host makes room until it is replaced", "cache", name, "error", err)
			},
		},
		L2: store, L2Timeout: cfg.Cache.L2.Timeout.Std(), L2MaxValue: int(cfg.Cache.L2.MaxValue), L2Prefix: cfg.Cache.L2.Prefix + name + ":",
		KeyString: parts.keyString, ParseKey: parts.parseKey, Codec: parts.codec, Identity: parts.identity,
		TTL: own.TTLDefault.Std(), MinTTL: own.TTLMin.Std(), MaxTTL: own.TTLMax.Std(), LoadTimeout: cmp.Or(parts.loadTimeout, cfg.Origin.Timeout.Std()),
		Prefetch: tiered.PrefetchOptions[K, V]{
			Enabled: cfg.Prefetch.Enabled && parts.load != nil, Load: parts.load, Tick: cfg.Prefetch.Tick.Std(),
			Budget: cfg.Prefetch.Budget, MaxShare: float64(cfg.Prefetch.MaxShare), Pressure: rt.scheduler.Pressure,
		},
		Logger: rt.log.Named("cache"),
	})
	if err != nil {
		return nil, errors.Join(err, closeStore(store))
	}
	predictor, err := linear.NewPredictor(linear.Options{})
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	accuracy := linear.NewAccuracy(predictor, c.Features())
	watch.accuracy.Store(accuracy)
	if name == "default" && rt.recorder != nil {
		watch.record.Store(rt.recorder)
	}
	rt.onClose(c.Close)
	if err := rt.addCacheSeats(name, c); err != nil {
		return nil, err
	}
	rt.mu.Lock()
	rt.caches[name] = &observed{managedCache: c, name: name, patterns: watch.analyzer, accuracy: accuracy}
	rt.mu.Unlock()
	return c, nil
}

func closeStore(store l2.Store) error {
	if store == nil {
		return nil
	}
	return store.Close()
}

func (rt *Runtime) addCacheSeats(name string, c managedCache) error {
	owners := []struct {
		kind policies.Kind
		owner
	}{
		{policies.KindEviction, evictionOwner{c}},
		{policies.KindTTL, ttlOwner{c, func() bool { return rt.config().Cache.AdaptiveTTL }}},
		{policies.KindPrefetch, prefetchOwner{c, func() bool { return rt.config().Prefetch.Enabled }}},
	}
	for _, o := range owners {
		if err := rt.addSeat(rt.ctx, policies.SeatOf(o.kind, name), o.owner); err != nil {
			return err
		}
	}
	return nil
}

// watcher hands a cache's batches to whoever watches its accesses.
type watcher struct {
	analyzer *patterns.Analyzer
	accuracy atomic.Pointer[linear.Accuracy]
	record   atomic.Pointer[recorder]
}

func (w *watcher) observe(now policies.Nanos, events []policies.Event, inserts []policies.Insert) {
	w.analyzer.Observe(now, events, inserts)
	if a := w.accuracy.Load(); a != nil {
		a.Observe(now, events, inserts)
	}
	if r := w.record.Load(); r != nil {
		r.observe(now, events, inserts)
	}
}

// Codec turns values into bytes and back: for the second tier, and to weigh
// entries. [JSON], [String] and [Bytes] are there.
type Codec[V any] = tiered.Codec[V]

// JSON is a codec by encoding/json.
func JSON[V any]() Codec[V] { return tiered.JSON[V]() }

// String is the codec of strings.
func String() Codec[string] { return tiered.String() }

// Bytes is the codec of byte slices, which callers must not change.
func Bytes() Codec[[]byte] { return tiered.Bytes() }

// Cache is a typed cache of a runtime: in memory, over Redis where configured,
// filled by its loader. Loads of one key are shared, run under the adaptive
// limit at the priority of their context ([WithPriority]), and go on when the
// caller that began one leaves. Safe for concurrent use.
type Cache[K comparable, V any] struct {
	tiered *tiered.Cache[K, V]
	load   tiered.Loader[K, V]
}

// CacheOption is something about a cache that its name's configuration cannot
// say.
type CacheOption[K comparable, V any] func(*cacheParts[K, V])

// WithWeigher sets how entries are weighed, in bytes. Default: the length of
// the encoded value, of a string key, and 128 for bookkeeping.
func WithWeigher[K comparable, V any](weigh func(K, V) uint32) CacheOption[K, V] {
	return func(p *cacheParts[K, V]) { p.weigher = weigh }
}

// WithKeyText sets how keys are written as text (in Redis and in the admin
// API) and read again. Default: keys that are strings are their own text,
// others are formatted with %v and cannot be named in the admin API.
func WithKeyText[K comparable, V any](format func(K) string, parse func(string) (K, error)) CacheOption[K, V] {
	return func(p *cacheParts[K, V]) { p.keyString, p.parseKey = format, parse }
}

// entryOverhead is what an entry takes besides its key and value, in bytes.
const entryOverhead = 128

// CacheOf opens a typed cache with the settings of [caches.NAME] in the
// configuration, else those of [cache], and seats of its own: eviction@NAME,
// ttl@NAME, prefetch@NAME. The name "default" is the proxy's where there is
// one. A name can be opened once.
func CacheOf[K comparable, V any](rt *Runtime, name string, codec Codec[V], load func(context.Context, K) (V, error), options ...CacheOption[K, V]) (*Cache[K, V], error) {
	if codec == nil || load == nil {
		return nil, errors.New("CacheOf needs a codec and a loader")
	}
	parts := cacheParts[K, V]{codec: codec}
	for _, o := range options {
		o(&parts)
	}
	if parts.weigher == nil {
		parts.weigher = encodedWeight[K, V](codec)
	}
	if _, text := any(*new(K)).(string); !text && parts.keyString == nil {
		parts.keyString = func(k K) string { return fmt.Sprint(k) }
	}
	loadWith := func(p func(context.Context) Priority) tiered.Loader[K, V] {
		return func(ctx context.Context, key K, _ tiered.Prior[V]) (tiered.Loaded[V], error) {
			v, err := scheduler.Do(ctx, rt.scheduler, p(ctx), func(ctx context.Context) (V, error) { return load(ctx, key) })
			return tiered.Loaded[V]{Value: v, Fresh: tiered.Default()}, err
		}
	}
	parts.load = loadWith(func(context.Context) Priority { return Background })
	c, err := openCache(rt, name, parts)
	if err != nil {
		return nil, err
	}
	return &Cache[K, V]{tiered: c, load: loadWith(priorityOf)}, nil
}

// encodedWeight weighs an entry by its encoded value.
func encodedWeight[K comparable, V any](codec Codec[V]) func(K, V) uint32 {
	return func(k K, v V) uint32 {
		n := entryOverhead
		if s, ok := any(k).(string); ok {
			n += len(s)
		}
		if b, err := codec.Encode(nil, v); err == nil {
			n += len(b)
		}
		return uint32(min(n, 1<<32-1))
	}
}

// GetOrLoad returns the value of a key, loading it where it is not resident or
// not fresh any more. The error is the loader's, ctx's, or a [*RejectedError]
// where the load was not admitted.
func (c *Cache[K, V]) GetOrLoad(ctx context.Context, key K) (V, error) {
	item, err := c.tiered.Fetch(ctx, key, c.load)
	return item.Value, err
}

// Get returns the value of a key that is resident in memory and fresh.
func (c *Cache[K, V]) Get(key K) (V, bool) {
	item, ok := c.tiered.Get(key)
	return item.Value, ok
}

// Set stores a value in both tiers; a load of the key that is under way will
// not overwrite it.
func (c *Cache[K, V]) Set(key K, value V) { c.tiered.Set(key, value) }

// Delete removes a key from both tiers; a load of the key that is under way
// will not bring it back.
func (c *Cache[K, V]) Delete(ctx context.Context, key K) error { return c.tiered.Delete(ctx, key) }
