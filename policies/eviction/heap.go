package eviction

import "github.com/perfopt/perfopt/policies"

// ranked is a resident entry in a heap of a policy that orders by a number.
type ranked struct {
	rank   float64 // the lowest goes first
	order  uint64  // of equal ranks, the lowest goes first
	weight uint32
	cost   uint32 // microseconds that loading took; 0 = unknown
	count  uint32 // accesses since it entered
	place  uint32 // in the heap, + 1; 0 = not held
}

// heap is the residents by rank.
type heap struct {
	all   []ranked // by slot
	slots []uint32
	bound uint32
}

func (h *heap) reset(c policies.Capacity) {
	clear(h.all)
	h.all, h.slots, h.bound = h.all[:0], h.slots[:0], c.MaxSlots
}

func (h *heap) held(s policies.Slot) *ranked {
	if uint64(s) >= uint64(len(h.all)) || h.all[s].place == 0 {
		return nil
	}
	return &h.all[s]
}

// at returns the entry of a slot, growing the array; nil beyond the bound.
func (h *heap) at(s policies.Slot) *ranked {
	if uint32(s) >= h.bound {
		return nil
	}
	for int(s) >= len(h.all) {
		h.all = append(h.all, ranked{})
	}
	return &h.all[s]
}

func (h *heap) before(a, b uint32) bool {
	x, y := &h.all[a], &h.all[b]
	return x.rank < y.rank || x.rank == y.rank && x.order < y.order
}

func (h *heap) push(s uint32) {
	h.slots = append(h.slots, s)
	h.all[s].place = uint32(len(h.slots))
	h.up(len(h.slots) - 1)
}

// fix restores the order after the rank of an entry changed.
func (h *heap) fix(s uint32) {
	i := int(h.all[s].place) - 1
	h.up(i)
	h.down(int(h.all[s].place) - 1)
}

func (h *heap) remove(s uint32) {
	i, last := int(h.all[s].place)-1, len(h.slots)-1
	moved := h.slots[last]
	h.slots = h.slots[:last]
	h.all[s].place = 0
	if moved != s {
		h.put(moved, i)
		h.fix(moved)
	}
}

func (h *heap) put(s uint32, i int) {
	h.slots[i] = s
	h.all[s].place = uint32(i) + 1
}

func (h *heap) up(i int) {
	s := h.slots[i]
	for i > 0 && h.before(s, h.slots[(i-1)/2]) {
		h.put(h.slots[(i-1)/2], i)
		i = (i - 1) / 2
	}
	h.put(s, i)
}

func (h *heap) down(i int) {
	s := h.slots[i]
	for {
		child := 2*i + 1
		if child >= len(h.slots) {
			break
		}
		if child+1 < len(h.slots) && h.before(h.slots[child+1], h.slots[child]) {
			child++
		}
		if !h.before(h.slots[child], s) {
			break
		}
		h.put(h.slots[child], i)
		i = child
	}
	h.put(s, i)
}
