package eviction

import "github.com/perfopt/perfopt/policies"

// Sieve is SIEVE by Zhang, Yang, Yue, Vigfusson and Rashmi ("SIEVE is simpler
// than LRU", NSDI 2024): new entries at the head, a hand that moves from the
// tail to the head, clears the mark of entries that were hit and takes the
// first without one. Unlike CLOCK, what was spared keeps its place.
//
// The authors' simulator evicts before it inserts; so the newest insert is
// kept aside until victims were chosen or another event comes.
//
// 16 bytes a slot. Not safe for concurrent use.
type Sieve struct {
	nodes  nodes
	list   list
	hand   uint32 // where the next search begins; none = at the tail
	newest uint32 // the insert kept aside; none = no such
}

var _ policies.Orderer = (*Sieve)(nil)

// NewSieve returns a SIEVE policy.
func NewSieve() *Sieve { return &Sieve{} }

// Info describes the policy.
func (p *Sieve) Info() policies.Info {
	return policies.Info{Name: "sieve", Version: "1", Kind: policies.KindEviction}
}

// Reset makes the policy empty.
func (p *Sieve) Reset(c policies.Capacity) error {
	p.nodes.reset(c)
	p.list = newList(1)
	p.hand, p.newest = none, none
	return nil
}

// Observe shows a batch of events. A hit is one write.
func (p *Sieve) Observe(events []policies.Event, inserts []policies.Insert) error {
	for i := range events {
		e := &events[i]
		p.admit()
		if e.Op == policies.OpHit {
			if n := p.nodes.held(e.Slot); n != nil {
				n.freq = 1
			}
			continue
		}
		var in *policies.Insert
		if e.Op.HasInsert() && len(inserts) > 0 {
			in, inserts = &inserts[0], inserts[1:]
		}
		p.change(e, in)
	}
	return nil
}

func (p *Sieve) change(e *policies.Event, in *policies.Insert) {
	held := p.nodes.held(e.Slot)
	switch e.Op {
	case policies.OpInsert, policies.OpRestore:
		if held != nil {
			p.remove(uint32(e.Slot))
		}
		if n := p.nodes.at(e.Slot); n != nil && in != nil {
			*n = node{weight: in.Weight}
			p.newest = uint32(e.Slot)
		}
	case policies.OpUpdate:
		if held != nil && in != nil {
			p.list.reweigh(held, in.Weight)
		}
	case policies.OpRemove, policies.OpExpire:
		if held != nil {
			p.remove(uint32(e.Slot))
		}
	}
}

func (p *Sieve) admit() {
	if p.newest != none {
		p.list.push(p.nodes.all, p.newest)
		p.newest = none
	}
}

func (p *Sieve) remove(s uint32) {
	if p.hand == s {
		p.hand = p.nodes.all[s].prev
	}
	p.list.remove(p.nodes.all, s)
}

// Victims names what the hand finds. Where out is too short for the need, the
// newest insert stays aside for the next call.
func (p *Sieve) Victims(need int64, out []policies.Slot) (int, error) {
	n := 0
	for n < len(out) && need > 0 {
		if p.list.tail == none {
			if p.newest == none {
				break
			}
			p.admit()
		}
		s := p.hand
		if s == none {
			s = p.list.tail
		}
		for p.nodes.all[s].freq != 0 {
			p.nodes.all[s].freq = 0
			if s = p.nodes.all[s].prev; s == none {
				s = p.list.tail
			}
		}
		p.hand = s
		p.remove(s)
		out[n] = policies.Slot(s)
		n++
		need -= int64(p.nodes.all[s].weight)
	}
	if need <= 0 {
		p.admit()
	}
	return n, nil
}
