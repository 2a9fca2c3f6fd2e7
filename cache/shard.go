package cache

import (
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/perfopt/perfopt/policies"
)

const (
	// queueBound is the number of records a shard queues before a writer must
	// help. Evictions may pass it by what one round evicts.
	queueBound = 64
	// leaseStripes is the number of lease generations of a shard: a write voids
	// the leases of the one key in 256 that shares its generation.
	leaseStripes = 256

	maxShards = 1024
	// shardEntries is the size of a shard that keeps its table in pages of its
	// own, so that its lines are aligned; wideShards is the number of shards
	// that keep writers apart in a smaller cache.
	shardEntries = 4096
	wideShards   = 16
)

// record is a write on its way to maintenance.
type record struct {
	event policies.Event
	row   policies.Insert
}

// writeCounts are a shard's exact counts.
type writeCounts struct {
	sets, refused, deletes      uint64
	evicted, expired, sampled   uint64 // sampled: those of the evicted that the host's sampler chose
	missesDropped, fillsRefused uint64
}

// shard is one part of the index. Readers load table and nothing else.
type shard[K comparable, V any] struct {
	table atomic.Pointer[table[K, V]]
	_     [56]byte // keeps readers off the writers' cache line

	mu sync.Mutex
	// guards the fields below, all stores into table, and the places and
	// weights of the slots that entries of this shard hold
	count  int             // entries
	queue  []record        // writes that maintenance has not seen
	free   []policies.Slot // slots in stock
	leases *[leaseStripes]uint32
	calls  map[K]*call[V] // loads in flight
	counts writeCounts
	// crowdedOut are entries that the write in progress evicted because too many
	// hashes are equal.
	crowdedOut []*entry[K, V]
}

// shardsFor returns the number of shards, a power of two.
func shardsFor(entries int, inline bool) int {
	if inline {
		return 1
	}
	n := max(entries/shardEntries, min(wideShards, entries/64, 4*runtime.GOMAXPROCS(0)), 1)
	return min(1<<(bits.Len(uint(n-1))), maxShards)
}

// shardOf returns the shard of a hash and its number.
func (c *Cache[K, V]) shardOf(hash uint64) (*shard[K, V], uint32) {
	i := hash >> c.shardShift
	return &c.shards[i], uint32(i)
}

// enqueue hands a record to maintenance. The shard's lock is held.
func (c *Cache[K, V]) enqueue(s *shard[K, V], number uint32, r record) {
	if len(s.queue) == 0 && !c.inline {
		c.dirty[number>>6].Or(1 << (number & 63))
	}
	s.queue = append(s.queue, r)
	if len(s.queue) == queueBound/2 && !c.inline {
		c.wakeUp()
	}
}

// add puts an entry whose key is absent into the shard under a slot of its
// stock. The shard's lock is held and the stock is not empty.
func (c *Cache[K, V]) add(s *shard[K, V], number uint32, hash uint64, e *entry[K, V], weight uint32) policies.Slot {
	slot := s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	e.bits |= uint64(slot)
	t := s.table.Load()
	if s.count >= t.limit() {
		t = c.grow(s, number)
	}
	pos, ok := t.insert(hash, e)
	for !ok {
		if len(t.lines)*lineSlots > crowded*(s.count+maxProbe*lineSlots) {
			c.crowdOut(s, number, hash)
		} else {
			t = c.grow(s, number)
		}
		pos, ok = t.insert(hash, e)
	}
	s.count++
	c.slots.weigh(slot, weight)
	c.slots.place(slot, number<<c.posBits|pos)
	return slot
}

// crowded is how many times its entries a table may have places before a search
// path that is full means equal hashes, which more growth does not part.
const crowded = 2

// crowdOut evicts an entry of the search path of a hash. The shard's lock is
// held.
func (c *Cache[K, V]) crowdOut(s *shard[K, V], number uint32, hash uint64) {
	t := s.table.Load()
	pos := uint32(t.home(hash)) << 3
	e := t.at(pos)
	t.remove(c.hasher.index(e.key), pos)
	c.evictCrowded(s, number, e)
}

// evictCrowded accounts for an entry that has lost its place to others of its
// hash; the write that caused it tells the listener. The shard's lock is held.
func (c *Cache[K, V]) evictCrowded(s *shard[K, V], number uint32, e *entry[K, V]) {
	c.left(s, e)
	s.counts.evicted++
	s.counts.sampled++
	s.crowdedOut = append(s.crowdedOut, e)
	c.enqueue(s, number, record{event: policies.Event{Slot: e.slot(), Op: policies.OpRemove}})
}

// grow moves the entries of a shard into a table half as large again, or larger
// where a search path is full there too. Readers go on in the former one.
func (c *Cache[K, V]) grow(s *shard[K, V], number uint32) *table[K, V] {
	from := s.table.Load()
	for lines := len(from.lines)*3/2 + 1; ; lines = lines*3/2 + 1 {
		last := lines*lineSlots > 2*crowded*(s.count+maxProbe*lineSlots)
		if to := newTable[K, V](lines); c.move(s, from, to, number, last) {
			s.table.Store(to)
			return to
		}
	}
}

// move fills a table from another; false where an entry has no place in it,
// unless it is the last that is tried: then such entries are evicted.
func (c *Cache[K, V]) move(s *shard[K, V], from, to *table[K, V], number uint32, last bool) bool {
	for i := range from.lines {
		for p := range from.lines[i].entry {
			e := from.lines[i].entry[p].Load()
			if e == nil {
				continue
			}
			pos, ok := to.insert(c.hasher.index(e.key), e)
			switch {
			case ok:
				c.slots.place(e.slot(), number<<c.posBits|pos)
			case last:
				c.evictCrowded(s, number, e)
			default:
				return false
			}
		}
	}
	return true
}

// take removes the entry at a position and returns its weight; its slot is
// free only when maintenance has read the record that the caller enqueues. The
// shard's lock is held.
func (c *Cache[K, V]) take(s *shard[K, V], hash uint64, pos uint32, e *entry[K, V]) uint32 {
	s.table.Load().remove(hash, pos)
	return c.left(s, e)
}

// left accounts for an entry that is no longer in the table.
func (c *Cache[K, V]) left(s *shard[K, V], e *entry[K, V]) uint32 {
	weight := c.slots.weight(e.slot())
	s.count--
	c.slots.place(e.slot(), nowhere)
	c.used.Add(-int64(weight))
	c.entries.Add(-1)
	return weight
}

// lockSlot locks the shard of the entry that holds a slot and returns both and
// the entry's position; nil where no entry holds it. The caller unlocks.
func (c *Cache[K, V]) lockSlot(slot policies.Slot) (s *shard[K, V], number uint32, e *entry[K, V], pos uint32) {
	for {
		where := c.slots.where(slot)
		if where == nowhere {
			return nil, 0, nil, 0
		}
		number = where >> c.posBits
		s = &c.shards[number]
		s.mu.Lock()
		if c.slots.where(slot) == where {
			pos = where & (1<<c.posBits - 1)
			return s, number, s.table.Load().at(pos), pos
		}
		s.mu.Unlock() // the entry moved or left
	}
}

// voidLease makes fills and loads of a key that began before now fail. The
// shard's lock is held.
func (s *shard[K, V]) voidLease(hash uint64, key K) {
	if s.leases != nil {
		s.leases[hash>>32%leaseStripes]++
	}
	if len(s.calls) > 0 {
		if call, ok := s.calls[key]; ok {
			call.void = true
			delete(s.calls, key)
		}
	}
}
