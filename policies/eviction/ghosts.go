package eviction

import (
	"math/bits"

	"github.com/perfopt/perfopt/policies"
)

// ghost is a key that left, in a queue of such keys.
type ghost struct {
	hash       policies.KeyHash
	prev, next uint32
	weight     uint32
}

// ghosts is a queue of the hashes of keys that left, bounded by the sum of
// their weights; the oldest is forgotten first. Any key can be taken out.
type ghosts struct {
	limit  int64
	bound  uint32 // most keys, whatever they weigh
	weight int64
	count  int

	entries    []ghost
	free       uint32 // list of unused entries through next
	head, tail uint32

	// index finds an entry by hash: open addressing with linear probing, at
	// most half full; entry number + 1, 0 = empty.
	index []uint32
	shift uint
}

func (g *ghosts) reset(limit int64, bound uint32) {
	*g = ghosts{limit: limit, bound: bound, entries: g.entries[:0], free: none, head: none, tail: none, index: g.index, shift: g.shift}
	clear(g.index)
}

// home is where the search for a hash begins.
func (g *ghosts) home(h policies.KeyHash) uint32 {
	x := uint64(h)
	x ^= x >> 32
	return uint32(x * 0x9E3779B97F4A7C15 >> g.shift)
}

// place returns where in the index a key is.
func (g *ghosts) place(h policies.KeyHash) (uint32, bool) {
	if g.count == 0 {
		return 0, false
	}
	mask := uint32(len(g.index) - 1)
	for i := g.home(h); g.index[i] != 0; i = (i + 1) & mask {
		if g.entries[g.index[i]-1].hash == h {
			return i, true
		}
	}
	return 0, false
}

// take removes a key and reports whether it was there.
func (g *ghosts) take(h policies.KeyHash) bool {
	i, ok := g.place(h)
	if ok {
		g.drop(i)
	}
	return ok
}

// drop removes the entry at a place of the index.
func (g *ghosts) drop(i uint32) {
	number := g.index[i] - 1
	e := &g.entries[number]
	if e.prev != none {
		g.entries[e.prev].next = e.next
	} else {
		g.head = e.next
	}
	if e.next != none {
		g.entries[e.next].prev = e.prev
	} else {
		g.tail = e.prev
	}
	g.weight -= int64(e.weight)
	g.count--
	e.next, g.free = g.free, number

	// Move later entries of the run back, so that no search ends too early.
	mask := uint32(len(g.index) - 1)
	hole := i
	for j := (i + 1) & mask; g.index[j] != 0; j = (j + 1) & mask {
		home := g.home(g.entries[g.index[j]-1].hash)
		if (j-home)&mask >= (j-hole)&mask {
			g.index[hole] = g.index[j]
			hole = j
		}
	}
	g.index[hole] = 0
}

// add remembers a key as the newest.
func (g *ghosts) add(h policies.KeyHash, weight uint32) {
	g.take(h)
	if int64(weight) > g.limit {
		return
	}
	for g.tail != none && (g.weight+int64(weight) > g.limit || uint64(g.count) >= uint64(g.bound)) {
		oldest, _ := g.place(g.entries[g.tail].hash)
		g.drop(oldest)
	}
	number := g.free
	if number != none {
		g.free = g.entries[number].next
	} else {
		number = uint32(len(g.entries))
		g.entries = append(g.entries, ghost{})
	}
	g.entries[number] = ghost{hash: h, prev: none, next: g.head, weight: weight}
	if g.head != none {
		g.entries[g.head].prev = number
	} else {
		g.tail = number
	}
	g.head = number
	g.weight += int64(weight)
	g.count++
	if 2*g.count > len(g.index) {
		g.rehash(max(2*len(g.index), 64))
		return
	}
	g.enter(number)
}

func (g *ghosts) enter(number uint32) {
	mask := uint32(len(g.index) - 1)
	i := g.home(g.entries[number].hash)
	for g.index[i] != 0 {
		i = (i + 1) & mask
	}
	g.index[i] = number + 1
}

// rehash builds a larger index over the entries of the queue.
func (g *ghosts) rehash(size int) {
	g.index = make([]uint32, size)
	g.shift = uint(64 - bits.TrailingZeros(uint(size)))
	for n := g.head; n != none; n = g.entries[n].next {
		g.enter(n)
	}
}
