// Command lru is an eviction policy: the entry that was not used for the
// longest time goes first. It keeps the residents in a doubly linked list over
// slots, most recent first, and names the same victims as the built-in lru.
//
// It must not know what a key is: the list holds slots, and a victim's weight
// is what its insert said.
package main

import "github.com/perfopt/perfopt/sdk/go/policy"

func init() {
	policy.Serve(policy.Manifest{Name: "lru-go", Version: "1.0.0"}, &lru{})
}

func main() {}

// node is a slot's place in the list, and the weight of its entry. Slot s has
// node s+1; node 0 is the list's head and tail.
type node struct {
	newer, older uint32
	weight       uint32
	resident     bool
}

type lru struct{ nodes []node }

var _ policy.Orderer = (*lru)(nil)

// Reset sizes the list for every slot that can occur, so that nothing is
// allocated later.
func (p *lru) Reset(c policy.Capacity) error {
	if want := int(c.MaxSlots) + 1; len(p.nodes) == want {
		clear(p.nodes)
	} else {
		p.nodes = make([]node, want)
	}
	return nil
}

// Observe moves what was read to the front. A write is not an access: an update
// keeps its place.
func (p *lru) Observe(e *policy.Events) error {
	for ev, in := range e.All() {
		n := uint32(ev.Slot) + 1 // 0 for a miss
		switch ev.Op {
		case policy.OpHit:
			p.touch(n)
		case policy.OpUpdate:
			p.nodes[n].weight = in.Weight
		case policy.OpInsert, policy.OpRestore:
			p.remove(n)
			p.nodes[n] = node{weight: in.Weight, resident: true}
			p.pushFront(n)
		case policy.OpRemove, policy.OpExpire:
			p.remove(n)
		}
	}
	return nil
}

// Victims takes from the back.
func (p *lru) Victims(need int64, out []policy.Slot) (int, error) {
	k := 0
	for ; k < len(out) && need > 0 && p.nodes[0].newer != 0; k++ {
		last := p.nodes[0].newer
		need -= int64(p.nodes[last].weight)
		out[k] = policy.Slot(last - 1)
		p.remove(last)
	}
	return k, nil
}

func (p *lru) touch(n uint32) {
	if x := &p.nodes[n]; x.resident && p.nodes[0].older != n {
		p.unlink(n)
		p.pushFront(n)
	}
}

func (p *lru) remove(n uint32) {
	if p.nodes[n].resident {
		p.unlink(n)
		p.nodes[n] = node{}
	}
}

// pushFront makes n the most recent one: the head's older neighbour.
func (p *lru) pushFront(n uint32) {
	first := p.nodes[0].older
	p.nodes[n].newer, p.nodes[n].older = 0, first
	p.nodes[first].newer = n
	p.nodes[0].older = n
}

func (p *lru) unlink(n uint32) {
	x := p.nodes[n]
	p.nodes[x.newer].older = x.older
	p.nodes[x.older].newer = x.newer
}
