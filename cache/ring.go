package cache

import (
	"sync/atomic"
	"unsafe"

	"github.com/perfopt/perfopt/policies"
)

const (
	minRing = 64 // cells of a fresh ring

	// ringCells bounds the cells of all rings that have grown because they lost
	// records, 8 bytes each; no ring is bounded below leastRing. Large rings
	// matter where maintenance waits for a processor as long as everybody else.
	ringCells = 1 << 17
	leastRing = 1 << 10
)

// ring holds recorded hits until maintenance reads them. A cell is 0 or a
// slot + 1 above the position of the entry in its shard.
type ring struct {
	cells []atomic.Uint64
}

// stripe counts hits and misses exactly and records hits lossily: a full ring
// drops. Goroutines are spread over the stripes by the address of their stack,
// so two that run at once rarely meet on one cache line.
type stripe struct {
	hits   atomic.Uint64 // hits so far; also where the next record goes
	read   atomic.Uint64 // records up to here have been read; maintenance writes it
	misses atomic.Uint64 // misses so far
	ring   atomic.Pointer[ring]
	_      [128 - 32]byte // a pair of cache lines, as they are fetched
}

// hit counts a hit and records it if the ring has room.
func (s *stripe) hit(slot policies.Slot, where uint32) {
	r := s.ring.Load()
	n := s.hits.Add(1) - 1
	if n-s.read.Load() < uint64(len(r.cells)) {
		r.cells[n&uint64(len(r.cells)-1)].Store(uint64(slot+1)<<32 | uint64(where))
	}
}

// seen is a recorded hit.
type seen struct {
	slot  policies.Slot
	where uint32
}

// drain appends what was recorded since the last drain; called by one
// goroutine at a time. A record whose cell is claimed but not yet written is
// lost. A ring that had to drop doubles.
func (s *stripe) drain(dst []seen, maxRing int) []seen {
	r := s.ring.Load()
	from, to := s.read.Load(), s.hits.Load()
	if from == to {
		return dst
	}
	size := uint64(len(r.cells))
	for n := from; n < min(to, from+size); n++ {
		cell := &r.cells[n&(size-1)]
		if v := cell.Load(); v != 0 {
			cell.Store(0)
			dst = append(dst, seen{policies.Slot(v>>32 - 1), uint32(v)})
		}
	}
	if to-from > size && int(size) < maxRing {
		s.ring.Store(&ring{make([]atomic.Uint64, 2*size)})
	}
	s.read.Store(to)
	return dst
}

// stripes is a power-of-two number of stripes.
type stripes []stripe

func newStripes(n int) stripes {
	s := make(stripes, n)
	for i := range s {
		s[i].ring.Store(&ring{make([]atomic.Uint64, minRing)})
	}
	return s
}

// mine returns the stripe of the calling goroutine. Stacks are at least 2 KiB
// apart; the multiplication spreads their numbers.
func (s stripes) mine() *stripe {
	var here byte
	p := uint64(uintptr(unsafe.Pointer(&here))) >> 11
	return &s[(p*0x9E37_79B9_7F4A_7C15>>32)&uint64(len(s)-1)]
}

// maxRing is the bound of each ring.
func (s stripes) maxRing() int { return max(ringCells/len(s), leastRing) }

func (s stripes) counts() (hits, misses uint64) {
	for i := range s {
		hits += s[i].hits.Load()
		misses += s[i].misses.Load()
	}
	return hits, misses
}
