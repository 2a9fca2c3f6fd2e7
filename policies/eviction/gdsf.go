package eviction

import "github.com/perfopt/perfopt/policies"

// GDSF is Greedy-Dual-Size-Frequency by Cherkasova (1998): the entry with the
// lowest L + frequency * load cost / weight goes, where L is that number of
// the last victim, so that what was popular long ago goes in the end. Where no
// entry has a load cost, all cost the same. The newest entry may be the victim.
//
// 36 bytes a slot; an event costs the logarithm of the residents. Not safe for
// concurrent use.
type GDSF struct{ byRank }

// LFU evicts the entry that was asked for least often since it entered; of
// several, the one that was accessed longest ago. Nothing ages: what was
// popular once stays. It is the classic to compare with.
//
// 36 bytes a slot; an event costs the logarithm of the residents. Not safe for
// concurrent use.
type LFU struct{ byRank }

var (
	_ policies.Orderer = (*GDSF)(nil)
	_ policies.Orderer = (*LFU)(nil)
)

// NewGDSF returns a GDSF policy.
func NewGDSF() *GDSF { return &GDSF{byRank{name: "gdsf", aging: true}} }

// NewLFU returns a least-frequently-used policy.
func NewLFU() *LFU { return &LFU{byRank{name: "lfu"}} }

// byRank is a heap of all residents. Like the simulators of both policies it
// evicts before it inserts: the newest insert is kept aside.
type byRank struct {
	name   string
	aging  bool // GDSF
	heap   heap
	floor  float64 // L
	tick   uint64
	newest uint32
}

// Info describes the policy.
func (p *byRank) Info() policies.Info {
	return policies.Info{Name: p.name, Version: "1", Kind: policies.KindEviction}
}

// Reset makes the policy empty.
func (p *byRank) Reset(c policies.Capacity) error {
	p.heap.reset(c)
	p.floor, p.tick, p.newest = 0, 0, none
	return nil
}

// Observe shows a batch of events.
func (p *byRank) Observe(events []policies.Event, inserts []policies.Insert) error {
	for i := range events {
		e := &events[i]
		p.admit()
		var in *policies.Insert
		if e.Op.HasInsert() && len(inserts) > 0 {
			in, inserts = &inserts[0], inserts[1:]
		}
		p.change(e, in)
	}
	return nil
}

func (p *byRank) change(e *policies.Event, in *policies.Insert) {
	held := p.heap.held(e.Slot)
	switch e.Op {
	case policies.OpHit:
		if held != nil {
			held.count++
			p.rank(held)
			p.heap.fix(uint32(e.Slot))
		}
	case policies.OpInsert, policies.OpRestore:
		if held != nil {
			p.heap.remove(uint32(e.Slot))
		}
		if n := p.heap.at(e.Slot); n != nil && in != nil {
			*n = ranked{weight: in.Weight, cost: in.LoadCostMicros, count: 1}
			p.newest = uint32(e.Slot)
		}
	case policies.OpUpdate:
		if held != nil && in != nil {
			held.weight, held.cost = in.Weight, in.LoadCostMicros
			p.rank(held)
			p.heap.fix(uint32(e.Slot))
		}
	case policies.OpRemove, policies.OpExpire:
		if held != nil {
			p.heap.remove(uint32(e.Slot))
		}
	}
}

func (p *byRank) rank(n *ranked) {
	p.tick++
	n.order = p.tick
	n.rank = float64(n.count)
	if p.aging {
		cost := 1.0
		if n.cost > 0 {
			cost = float64(n.cost) / 1000
		}
		n.rank = p.floor + float64(n.count)*cost/float64(max(n.weight, 1))
	}
}

func (p *byRank) admit() {
	if p.newest != none {
		p.rank(&p.heap.all[p.newest])
		p.heap.push(p.newest)
		p.newest = none
	}
}

// Victims names the entries of the lowest rank. Where out is too short for the
// need, the newest insert stays aside for the next call.
func (p *byRank) Victims(need int64, out []policies.Slot) (int, error) {
	n := 0
	for n < len(out) && need > 0 {
		if len(p.heap.slots) == 0 {
			if p.newest == none {
				break
			}
			p.admit()
		}
		s := p.heap.slots[0]
		p.heap.remove(s)
		p.floor = p.heap.all[s].rank
		out[n] = policies.Slot(s)
		n++
		need -= int64(p.heap.all[s].weight)
	}
	if need <= 0 {
		p.admit()
	}
	return n, nil
}
