package cache

import (
	"fmt"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/features"
)

// Cache is a bounded map from keys to values whose eviction and lifetimes are
// decided by policies. Create it with [New]. Safe for concurrent use, unless it
// is inline.
//
// Locks, in their order: the turn (features and the eviction policy; held
// during calls of the policy, so nobody waits for it but maintenance, the
// verbs of the owner and writers behind a full log), the intake (the log), a
// shard's lock, the lock of the free slots. No listener, loader or TTL policy
// is called under any.
type Cache[K comparable, V any] struct {
	// Read only after New.
	shards        []shard[K, V]
	shardShift    uint
	posBits       uint
	stripes       stripes
	hasher        hasher[K]
	slots         *slots
	features      *features.Table
	capacity      int64
	maxEntries    int64
	margin        int64 // maintenance evicts to that far below the capacity
	maxWeight     uint32
	weigher       func(K, V) uint32
	defaultTTL    time.Duration
	now           func() policies.Nanos
	epoch         policies.Nanos // moment of tick 0
	exactClock    bool           // ask now for each read of an entry that expires
	inline        bool
	onRemoval     func(Removal[K, V])
	onBatch       func(policies.Nanos, []policies.Event, []policies.Insert)
	onPolicyFault func(error)
	samplers      *sync.Pool
	wake          chan struct{}
	stop          chan struct{}
	done          chan struct{}
	closed        sync.Once

	swap sync.Mutex // one UseEviction at a time; taken before all other locks
	// guards the field below
	ended bool // Close was called

	ttl        atomic.Pointer[ttlSeat]
	clock      atomic.Int64 // last reading of now
	recorded   atomic.Uint64
	seatFaults atomic.Uint64
	swaps      atomic.Uint64
	name       atomic.Pointer[seatName]
	loads      loadCounts
	life       *loadLife

	_       [64]byte
	used    atomic.Int64 // weight of the residents; writers
	entries atomic.Int64 // number of the residents; writers
	awake   atomic.Bool  // maintenance has been asked for a round
	dirty   [maxShards / 64]atomic.Uint64
	_       [64]byte

	turn sync.Mutex
	// guards the fields below, features' changes and the calls of the policy
	m       maintenance
	removed []Removal[K, V] // to be told when the turn is over

	intake sync.Mutex
	// guards the fields below
	log      log    // writes taken from the queues, on their way to the turn
	arriving bitmap // slots of the inserts in log
	spare    []record
	freed    []policies.Slot
}

// seatName is what Stats says of the eviction seat.
type seatName struct {
	policy  string
	sampler bool
}

// New returns a cache, or all that is wrong with its options. Unless it is
// inline it has one goroutine until [Cache.Close].
func New[K comparable, V any](o Options[K, V]) (*Cache[K, V], error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	n := shardsFor(o.MaxEntries, o.Inline)
	stock := min(32, max(1, o.MaxEntries/(4*n)))
	maxSlots := uint32(o.MaxEntries + n*2*stock + max(1024, o.MaxEntries/32))
	c := &Cache[K, V]{
		shards:        make([]shard[K, V], n),
		shardShift:    uint(64 - bits.Len(uint(n-1))),
		posBits:       uint(32 - bits.Len(uint(n-1))),
		hasher:        newHasher(o.Salt, o.KeyHash),
		slots:         newSlots(maxSlots, o.Weigher != nil),
		capacity:      o.Capacity,
		maxEntries:    int64(o.MaxEntries),
		maxWeight:     o.MaxWeight,
		weigher:       o.Weigher,
		defaultTTL:    o.DefaultTTL,
		now:           o.Now,
		exactClock:    o.Now != nil,
		inline:        o.Inline,
		onRemoval:     o.OnRemoval,
		onBatch:       o.OnBatch,
		onPolicyFault: o.OnPolicyFault,
		samplers:      newSamplers(),
		life:          newLoadLife(),
		wake:          make(chan struct{}, 1),
		stop:          make(chan struct{}),
		done:          make(chan struct{}),
	}
	if c.now == nil {
		c.now = realClock()
	}
	c.epoch = c.readClock()
	c.m.now = c.epoch
	c.m.named = make([]policies.Slot, victimBatch)
	for i := range c.shards {
		c.shards[i].table.Store(newTable[K, V](1))
		c.shards[i].free = make([]policies.Slot, 0, 2*stock)
	}
	stripeCount := 1
	if !o.Inline {
		stripeCount = min(1<<bits.Len(uint(4*runtime.GOMAXPROCS(0)-1)), 256)
		if o.MaxEntries >= marginFrom {
			c.margin = o.Capacity / marginShare
		}
	}
	c.stripes = newStripes(stripeCount)
	c.features = features.New(c.featureOptions(o, maxSlots))
	if o.TTL != nil {
		c.UseTTL(o.TTL)
	}
	c.name.Store(&seatName{"", true})
	if o.Eviction == nil {
		o.Eviction = defaultEviction(o.Salt)
	}
	if err := c.seatFirst(o.Eviction); err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	if o.Inline {
		close(c.done)
	} else {
		go c.run() // ended by Close
	}
	return c, nil
}

const (
	// marginShare is the share of the capacity that maintenance keeps free for
	// writers, in caches of at least marginFrom entries.
	marginShare = 128
	marginFrom  = 4096
)

func (c *Cache[K, V]) featureOptions(o Options[K, V], maxSlots uint32) features.Options {
	f := features.Options{MaxSlots: maxSlots, Seed: o.Salt}
	if o.Weigher == nil {
		f.Entries = o.MaxEntries
		return f
	}
	f.Complete = func(rows *policies.Rows, slots []policies.Slot) {
		if size := rows.Column(policies.ColSize); size != nil {
			for i, s := range slots {
				size[i] = float64(c.slots.weight(s))
			}
		}
	}
	return f
}

// Features returns what the cache remembers about the past of its keys.
func (c *Cache[K, V]) Features() *features.Table { return c.features }

// Sync brings everything up to date that readers and writers left behind: all
// queued events are delivered, room is made, what is due is expired.
func (c *Cache[K, V]) Sync() {
	for range syncRounds {
		if more := c.takeTurn(); !more && !c.pending() {
			return
		}
	}
}

// syncRounds bounds Sync beside readers and writers that do not rest.
const syncRounds = 1 << 14

// pending reports whether a queue holds something.
func (c *Cache[K, V]) pending() bool {
	for w := range c.dirty {
		if c.dirty[w].Load() != 0 {
			return true
		}
	}
	return false
}

// Close cancels the loads in flight and waits for them, ends maintenance and
// closes the policies. Safe to call twice, not from a loader. The cache remains
// usable, on its callers alone: the host's sampler makes room.
func (c *Cache[K, V]) Close() {
	c.closed.Do(func() {
		c.life.close()
		close(c.stop)
		<-c.done
		c.swap.Lock()
		c.ended = true
		c.turn.Lock()
		policy := c.m.seat.policy
		c.m.seat.policy = nil
		c.name.Store(&seatName{c.m.seat.info.Name, true})
		c.turn.Unlock()
		c.swap.Unlock()
		_ = closePolicy(policy)
		if former := c.ttl.Swap(nil); former != nil {
			_ = closePolicy(former.policy)
		}
	})
}
