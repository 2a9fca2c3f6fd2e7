// Package eviction holds the native eviction policies in the ordering form,
// each with its source in its comment: [LRU], [FIFO], [S3FIFO], [Sieve], [LFU]
// and [GDSF].
//
// Each is a [policies.Orderer] over dense slot numbers. State lies in arrays
// indexed by slot, without pointers, so that a garbage collector has nothing
// to mark; the arrays grow with the slots in use and never beyond the bound
// that Reset was given. Weights are in the units of the cache's capacity.
//
// The policies must not know keys (a ghost holds hashes), time, or the cache
// that asks them. They trust the order of events, not their sense: a hit, an
// update or a removal of a slot that they do not hold is ignored, and an
// insert into a slot that they hold replaces its entry.
//
// Caveats. None of them is safe for concurrent use: an Orderer has one caller
// at a time. LRU and FIFO may name the newest entry only when it is the only
// one left.
package eviction

import "github.com/perfopt/perfopt/policies"

// none ends a list of slots; no slot has this number.
const none = uint32(policies.NoSlot)

// node is a resident entry in one of the lists of its policy.
type node struct {
	prev, next uint32
	weight     uint32
	list       uint8 // which list holds it; 0 = none
	freq       uint8 // what the policy makes of it
}

// nodes are the entries by slot.
type nodes struct {
	all   []node
	bound uint32
}

func (n *nodes) reset(c policies.Capacity) {
	clear(n.all)
	n.all = n.all[:0]
	n.bound = c.MaxSlots
}

// held returns the node of a slot that is in a list, else nil.
func (n *nodes) held(s policies.Slot) *node {
	if uint64(s) >= uint64(len(n.all)) || n.all[s].list == 0 {
		return nil
	}
	return &n.all[s]
}

// at returns the node of a slot, growing the array; nil beyond the bound.
func (n *nodes) at(s policies.Slot) *node {
	if uint32(s) >= n.bound {
		return nil
	}
	if int(s) >= len(n.all) {
		n.grow(int(s) + 1)
	}
	return &n.all[s]
}

func (n *nodes) grow(size int) {
	if size > cap(n.all) {
		grown := make([]node, len(n.all), min(max(2*cap(n.all), size, 64), int(n.bound)))
		copy(grown, n.all)
		n.all = grown
	}
	n.all = n.all[:size]
}

// list is a queue of slots through their nodes. Entries enter at the head and
// leave at the tail.
type list struct {
	id         uint8
	head, tail uint32
	weight     int64 // sum over the entries
}

func newList(id uint8) list { return list{id: id, head: none, tail: none} }

func (l *list) push(n []node, s uint32) {
	e := &n[s]
	e.list, e.prev, e.next = l.id, none, l.head
	if l.head != none {
		n[l.head].prev = s
	} else {
		l.tail = s
	}
	l.head = s
	l.weight += int64(e.weight)
}

func (l *list) remove(n []node, s uint32) {
	e := &n[s]
	if e.prev != none {
		n[e.prev].next = e.next
	} else {
		l.head = e.next
	}
	if e.next != none {
		n[e.next].prev = e.prev
	} else {
		l.tail = e.prev
	}
	l.weight -= int64(e.weight)
	e.list = 0
}

// reweigh changes the weight of an entry of the list.
func (l *list) reweigh(e *node, weight uint32) {
	l.weight += int64(weight) - int64(e.weight)
	e.weight = weight
}
