package cache

import (
	"sync"
	"sync/atomic"

	"github.com/perfopt/perfopt/policies"
)

const (
	chunkBits = 12 // slots of a chunk: 4,096
	chunkSize = 1 << chunkBits

	// nowhere is the place of a slot that no entry holds.
	nowhere = 0xFFFF_FFFF
)

// slotChunk holds what the host keeps per slot. Written under the lock of the
// shard whose entry holds the slot; read by anyone.
type slotChunk struct {
	where  [chunkSize]atomic.Uint32  // shard and position of the holder, or nowhere
	weight *[chunkSize]atomic.Uint32 // weight of the holder; nil where every entry weighs 1
}

// slots hands out the dense numbers of residents. Memory for them is made in
// chunks as numbers are first used.
type slots struct {
	chunks   []atomic.Pointer[slotChunk]
	max      uint32
	weighted bool

	mu sync.Mutex
	// guards the fields below
	free []policies.Slot // returned numbers, the last returned on top
	next uint32          // numbers from here on were never used
}

func newSlots(maxSlots uint32, weighted bool) *slots {
	n := (uint64(maxSlots) + chunkSize - 1) >> chunkBits
	return &slots{chunks: make([]atomic.Pointer[slotChunk], n), max: maxSlots, weighted: weighted}
}

// take moves up to n free slots to the end of dst.
func (s *slots) take(dst []policies.Slot, n int) []policies.Slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := min(n, len(s.free))
	dst = append(dst, s.free[len(s.free)-k:]...)
	s.free = s.free[:len(s.free)-k]
	for ; k < n && s.next < s.max; k++ {
		if s.next&(chunkSize-1) == 0 {
			s.chunks[s.next>>chunkBits].Store(s.chunk())
		}
		dst = append(dst, policies.Slot(s.next))
		s.next++
	}
	return dst
}

func (s *slots) chunk() *slotChunk {
	c := new(slotChunk)
	for i := range c.where {
		c.where[i].Store(nowhere)
	}
	if s.weighted {
		c.weight = new([chunkSize]atomic.Uint32)
	}
	return c
}

// put returns slots whose removal has been observed.
func (s *slots) put(freed []policies.Slot) {
	if len(freed) == 0 {
		return
	}
	s.mu.Lock()
	s.free = append(s.free, freed...)
	s.mu.Unlock()
}

// used returns how many numbers were ever handed out.
func (s *slots) used() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next
}

// of returns the chunk of a slot, nil where that number was never used.
func (s *slots) of(slot policies.Slot) *slotChunk {
	i := uint32(slot) >> chunkBits
	if int(i) >= len(s.chunks) {
		return nil
	}
	return s.chunks[i].Load()
}

// where returns the place of a slot's holder, or nowhere.
func (s *slots) where(slot policies.Slot) uint32 {
	c := s.of(slot)
	if c == nil {
		return nowhere
	}
	return c.where[slot&(chunkSize-1)].Load()
}

// place records the holder of a slot; nowhere when it leaves.
func (s *slots) place(slot policies.Slot, where uint32) {
	s.of(slot).where[slot&(chunkSize-1)].Store(where)
}

// weigh records the weight of a slot's holder.
func (s *slots) weigh(slot policies.Slot, weight uint32) {
	if s.weighted {
		s.of(slot).weight[slot&(chunkSize-1)].Store(weight)
	}
}

// weight returns the weight of a slot's holder.
func (s *slots) weight(slot policies.Slot) uint32 {
	if !s.weighted {
		return 1
	}
	c := s.of(slot)
	if c == nil {
		return 0
	}
	return c.weight[slot&(chunkSize-1)].Load()
}
