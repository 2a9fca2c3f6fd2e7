package cache

import (
	"fmt"
	"math"
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

// Get returns the value of a key. On a hit it takes no lock, calls no policy
// and allocates nothing.
func (c *Cache[K, V]) Get(key K) (V, bool) {
	hash := c.hasher.index(key)
	s := &c.shards[hash>>c.shardShift]
	e, pos := s.table.Load().find(hash, key)
	if e == nil {
		c.missed(key, hash)
		var zero V
		return zero, false
	}
	if e.expiry() != neverTick && c.expired(e.expiry()) {
		c.dropExpired(key, hash)
		c.missed(key, hash)
		var zero V
		return zero, false
	}
	if c.inline {
		c.hitInline(e)
	} else {
		c.stripes.mine().hit(e.slot(), uint32(hash>>c.shardShift)<<c.posBits|pos)
	}
	return e.value, true
}

func (c *Cache[K, V]) hitInline(e *entry[K, V]) {
	c.stripes[0].hits.Add(1)
	c.recorded.Add(1)
	c.stage(policies.Event{Slot: e.slot(), Op: policies.OpHit}, policies.Insert{})
}

// missed counts a miss and queues it for the policies. A full queue drops it:
// a read waits for nobody.
func (c *Cache[K, V]) missed(key K, hash uint64) {
	miss := record{
		policies.Event{Slot: policies.NoSlot, Op: policies.OpMiss},
		policies.Insert{KeyHash: c.hasher.public(key, hash)},
	}
	if c.inline {
		c.stripes[0].misses.Add(1)
		c.stage(miss.event, miss.row)
		return
	}
	c.stripes.mine().misses.Add(1)
	s, number := c.shardOf(hash)
	s.mu.Lock()
	if len(s.queue) < queueBound-1 {
		c.enqueue(s, number, miss)
	} else {
		s.counts.missesDropped++
	}
	s.mu.Unlock()
}

// dropExpired removes the entry of a key if its time has come.
func (c *Cache[K, V]) dropExpired(key K, hash uint64) {
	s, number := c.shardOf(hash)
	s.mu.Lock()
	e, pos := s.table.Load().find(hash, key)
	if e == nil || !c.expired(e.expiry()) {
		s.mu.Unlock()
		return
	}
	c.expire(s, number, e, pos)
	s.mu.Unlock()
	c.settle(s)
	c.notify(e, CauseExpired)
}

// Peek returns what the cache holds of a key. It is no access: nothing is
// counted, no policy hears of it.
func (c *Cache[K, V]) Peek(key K) (Entry[K, V], bool) {
	hash := c.hasher.index(key)
	s, _ := c.shardOf(hash)
	e, _ := s.table.Load().find(hash, key)
	if e == nil || c.expired(e.expiry()) {
		return Entry[K, V]{}, false
	}
	return c.show(e), true
}

func (c *Cache[K, V]) show(e *entry[K, V]) Entry[K, V] {
	return Entry[K, V]{e.key, e.value, c.slots.weight(e.slot()), c.expiresIn(e)}
}

// Write says how an entry is written. The zero value lets the cache decide.
type Write struct {
	// TTL is the entry's life: 0 = as decided by the TTL policy, without one
	// by Decide.Base or Options.DefaultTTL; negative = it does not expire.
	TTL time.Duration
	// Decide is what the TTL policy is asked with.
	Decide TTLInput
	// LoadCost is what loading the value took; 0 = unknown.
	LoadCost time.Duration
	// Prefetched marks a value that no caller has asked for.
	Prefetched bool
}

// Set stores a value and returns false where it is too heavy to be stored (see
// Options.MaxWeight; what the key had is then deleted). A policy may evict the
// entry at once: that is admission.
func (c *Cache[K, V]) Set(key K, value V) bool { return c.SetWith(key, value, Write{}) }

// SetWith is Set with more to say about the write.
func (c *Cache[K, V]) SetWith(key K, value V, w Write) bool {
	return c.write(key, value, w, c.hasher.index(key), nil)
}

// lease is what a conditional write must find unchanged under the shard's lock.
type lease[V any] struct {
	generation uint32
	call       *call[V] // or this load still in flight and not void
}

// write stores a value unless its lease is void.
func (c *Cache[K, V]) write(key K, value V, w Write, hash uint64, l *lease[V]) bool {
	s, number := c.shardOf(hash)
	weight := uint32(1)
	if c.weigher != nil {
		weight = c.weigher(key, value)
	}
	if weight > c.maxWeight {
		c.refuse(key, hash, l)
		return false
	}
	ttl := w.TTL
	if ttl == 0 {
		ttl = c.decide(key, hash, w, weight)
	}
	e := newEntry(key, value, c.expiryAfter(ttl))
	r := record{
		policies.Event{Op: policies.OpInsert, Class: costClass(w.LoadCost)},
		policies.Insert{KeyHash: c.hasher.public(key, hash), Weight: weight, TTLMillis: millis(ttl), LoadCostMicros: micros(w.LoadCost)},
	}
	if w.Prefetched {
		r.event.Flags, r.row.Flags = policies.FlagPrefetched, policies.FlagPrefetched
	}
	s.mu.Lock()
	for !c.ready(s) {
		s.mu.Unlock()
		c.relieve()
		s.mu.Lock()
	}
	if !s.holds(l, hash) {
		s.counts.fillsRefused++
		s.mu.Unlock()
		return false
	}
	added := int64(weight)
	old, pos := s.table.Load().find(hash, key)
	if old != nil {
		r.event.Op, r.event.Slot = policies.OpUpdate, old.slot()
		e.bits |= uint64(old.slot())
		s.table.Load().replace(pos, e)
		added -= int64(c.slots.weight(old.slot()))
		c.slots.weigh(old.slot(), weight)
	} else {
		r.event.Slot = c.add(s, number, hash, e, weight)
		c.entries.Add(1)
	}
	used := c.used.Add(added)
	s.counts.sets++
	if l == nil {
		s.voidLease(hash, key)
	}
	c.enqueue(s, number, r)
	out := s.crowdedOut
	s.crowdedOut = nil
	s.mu.Unlock()
	c.settle(s)
	for _, e := range out {
		c.notify(e, CauseEvicted)
	}
	c.afterWrite(used, weight)
	if old != nil {
		cause := CauseReplaced
		if c.expired(old.expiry()) {
			cause = CauseExpired
		}
		c.notify(old, cause)
	}
	return true
}

// afterWrite keeps the bound: maintenance is asked for room when half of the
// margin is used up; a writer that finds a quarter left makes room for all if
// nobody is at it, and one that finds none makes its own.
func (c *Cache[K, V]) afterWrite(used int64, weight uint32) {
	switch left := c.capacity - used; {
	case left < 0 || c.entries.Load() > c.maxEntries:
		c.makeRoom(weight)
	case left < c.margin/4:
		c.tryTurn()
	case left < c.margin/2:
		c.wakeUp()
	}
}

// ready reports whether the shard can take a write: room in its queue and a
// slot in stock. The shard's lock is held.
func (c *Cache[K, V]) ready(s *shard[K, V]) bool {
	if len(s.queue) >= queueBound {
		return false
	}
	if len(s.free) == 0 {
		s.free = c.slots.take(s.free, cap(s.free)/2)
	}
	return len(s.free) > 0
}

// relieve empties the queues and brings back the slots of what has left. The
// writer does a part of maintenance's work where much is waiting, and waits for
// a call of the policy only behind logBound events. No lock is held.
func (c *Cache[K, V]) relieve() {
	if c.inline {
		c.settle(&c.shards[0]) // what an eviction after the last write freed
		return
	}
	c.intake.Lock()
	waiting := len(c.log.events)
	if waiting < logBound {
		c.gather()
	}
	c.intake.Unlock()
	switch {
	case waiting >= logBound:
		c.takeTurn()
	case waiting >= logBound/8:
		c.tryTurn()
	default:
		c.wakeUp()
	}
}

// refuse turns a write away that is too heavy and deletes what the key had,
// which the caller meant to replace.
func (c *Cache[K, V]) refuse(key K, hash uint64, l *lease[V]) {
	s, _ := c.shardOf(hash)
	s.mu.Lock()
	s.counts.refused++
	valid := s.holds(l, hash)
	s.mu.Unlock()
	if valid {
		c.remove(key, hash, CauseReplaced)
	}
}

// Delete removes a key and reports whether it was there. Loads of the key that
// began before are not stored.
func (c *Cache[K, V]) Delete(key K) bool {
	return c.remove(key, c.hasher.index(key), CauseDeleted)
}

func (c *Cache[K, V]) remove(key K, hash uint64, cause Cause) bool {
	s, number := c.shardOf(hash)
	s.mu.Lock()
	for len(s.queue) >= queueBound {
		s.mu.Unlock()
		c.relieve()
		s.mu.Lock()
	}
	s.voidLease(hash, key)
	e, pos := s.table.Load().find(hash, key)
	if e == nil {
		s.mu.Unlock()
		return false
	}
	expired := c.expired(e.expiry())
	if expired {
		c.expire(s, number, e, pos)
		cause = CauseExpired
	} else {
		c.take(s, hash, pos, e)
		if cause == CauseDeleted {
			s.counts.deletes++
		}
		c.enqueue(s, number, record{event: policies.Event{Slot: e.slot(), Op: policies.OpRemove}})
	}
	s.mu.Unlock()
	c.settle(s)
	c.notify(e, cause)
	return !expired
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

// costClass is the code of a load cost in an event.
func costClass(d time.Duration) uint16 { return classOfMicros(micros(d)) }

func classOfMicros(us uint32) uint16 {
	if us == 0 {
		return 0
	}
	return uint16(math.Round(16 * math.Log2(1+float64(us))))
}

func micros(d time.Duration) uint32 {
	return uint32(min(max(d/time.Microsecond, 0), math.MaxUint32))
}

// millis is a life in milliseconds, at least 1; 0 where it has no end.
func millis(ttl time.Duration) uint32 {
	if ttl < 0 {
		return 0
	}
	return uint32(min(max((ttl+tick-1)/tick, 1), math.MaxUint32))
}
