package eviction

import "github.com/perfopt/perfopt/policies"

// FIFO evicts the entry that was inserted first. An update keeps its place.
// Not safe for concurrent use.
type FIFO struct{ queue }

var _ policies.Orderer = (*FIFO)(nil)

// NewFIFO returns a first-in, first-out policy.
func NewFIFO() *FIFO { return &FIFO{queue{name: "fifo"}} }

// LRU evicts the entry whose last access is longest ago. An update is a write,
// not an access, and keeps the entry's place. Not safe for concurrent use.
type LRU struct{ queue }

var _ policies.Orderer = (*LRU)(nil)

// NewLRU returns a least-recently-used policy.
func NewLRU() *LRU { return &LRU{queue{name: "lru", promote: true}} }

// queue is one list of all residents.
type queue struct {
	name    string
	promote bool // a hit moves the entry to the head
	nodes   nodes
	list    list
}

// Info describes the policy.
func (q *queue) Info() policies.Info {
	return policies.Info{Name: q.name, Version: "1", Kind: policies.KindEviction}
}

// Reset makes the policy empty.
func (q *queue) Reset(c policies.Capacity) error {
	q.nodes.reset(c)
	q.list = newList(1)
	return nil
}

// Observe shows a batch of events. A few nanoseconds an event where the nodes
// are in the processor's cache.
func (q *queue) Observe(events []policies.Event, inserts []policies.Insert) error {
	for i := range events {
		e := &events[i]
		if e.Op == policies.OpHit {
			if q.promote && e.Slot != policies.Slot(q.list.head) && q.nodes.held(e.Slot) != nil {
				q.list.remove(q.nodes.all, uint32(e.Slot))
				q.list.push(q.nodes.all, uint32(e.Slot))
			}
			continue
		}
		var in *policies.Insert
		if e.Op.HasInsert() && len(inserts) > 0 {
			in, inserts = &inserts[0], inserts[1:]
		}
		q.change(e, in)
	}
	return nil
}

func (q *queue) change(e *policies.Event, in *policies.Insert) {
	held := q.nodes.held(e.Slot)
	switch e.Op {
	case policies.OpInsert, policies.OpRestore:
		if held != nil {
			q.list.remove(q.nodes.all, uint32(e.Slot))
		}
		if n := q.nodes.at(e.Slot); n != nil && in != nil {
			n.weight = in.Weight
			q.list.push(q.nodes.all, uint32(e.Slot))
		}
	case policies.OpUpdate:
		if held != nil && in != nil {
			q.list.reweigh(held, in.Weight)
		}
	case policies.OpRemove, policies.OpExpire:
		if held != nil {
			q.list.remove(q.nodes.all, uint32(e.Slot))
		}
	}
}

// Victims names entries from the tail of the list.
func (q *queue) Victims(need int64, out []policies.Slot) (int, error) {
	n := 0
	for n < len(out) && need > 0 && q.list.tail != none {
		s := q.list.tail
		q.list.remove(q.nodes.all, s)
		out[n] = policies.Slot(s)
		n++
		need -= int64(q.nodes.all[s].weight)
	}
	return n, nil
}
