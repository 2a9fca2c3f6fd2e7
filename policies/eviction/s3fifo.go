package eviction

import "github.com/perfopt/perfopt/policies"

// The shares of S3-FIFO: the small queue gets a tenth of the capacity, a ghost
// queue remembers as much as the main queue holds.
const (
	smallShare = 0.1
	ghostShare = 0.9

	// moveAt is the number of hits in the small queue that take an entry to
	// the main queue when its turn comes.
	moveAt = 2
	// maxFreq is where hits stop counting: the main queue gives at most three
	// further rounds.
	maxFreq = 3
)

// The lists of S3-FIFO; a node's list is one of these.
const (
	inSmall = 1
	inMain  = 2
)

// S3FIFO is S3-FIFO by Yang, Zhang, Qiu, Yue and Rashmi ("FIFO queues are all
// you need for cache eviction", SOSP 2023): a small queue for new entries, a
// main queue for those that were asked for twice while in it, and a ghost
// queue of the hashes of keys that left the small queue. A key that returns
// while it is a ghost enters the main queue at once. The frequency is reset
// when an entry moves to the main queue, as in the authors' simulator.
//
// The simulator evicts before it inserts, a host asks for victims after it has
// shown the insert. So the newest insert is kept aside until victims were
// chosen or another event comes; whether it is a ghost's return is looked up
// at the insert.
//
// The simulator does not cache a key that fills the small queue by itself and
// is no ghost's return: below 20 objects that is every key. Here it enters the
// small queue and the queue exceeds its limit until victims are wanted; a
// cache of a few entries is useful that way.
//
// An instance uses 24 bytes a slot and about 32 bytes a ghost. Not safe for
// concurrent use.
type S3FIFO struct {
	nodes nodes
	keys  []policies.KeyHash // by slot, as long as the nodes
	small list
	main  list
	ghost ghosts

	smallLimit int64
	mainLimit  int64

	newest   uint32 // the insert kept aside; none = no such
	returned bool   // the newest is a ghost's return
	restored int64  // weight of the restored entries so far
}

var _ policies.Orderer = (*S3FIFO)(nil)

// NewS3FIFO returns an S3-FIFO policy.
func NewS3FIFO() *S3FIFO { return &S3FIFO{} }

// Info describes the policy.
func (p *S3FIFO) Info() policies.Info {
	return policies.Info{Name: "s3fifo", Version: "1", Kind: policies.KindEviction}
}

// Reset makes the policy empty.
func (p *S3FIFO) Reset(c policies.Capacity) error {
	p.nodes.reset(c)
	p.small, p.main = newList(inSmall), newList(inMain)
	p.smallLimit = int64(float64(c.Weight) * smallShare)
	p.mainLimit = c.Weight - p.smallLimit
	p.ghost.reset(int64(float64(c.Weight)*ghostShare), c.MaxSlots)
	p.newest, p.returned, p.restored = none, false, 0
	return nil
}

// Observe shows a batch of events.
func (p *S3FIFO) Observe(events []policies.Event, inserts []policies.Insert) error {
	for i := range events {
		e := &events[i]
		if p.newest != none {
			p.admit()
		}
		if e.Op == policies.OpHit {
			if n := p.nodes.held(e.Slot); n != nil && n.freq < maxFreq {
				n.freq++
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

func (p *S3FIFO) change(e *policies.Event, in *policies.Insert) {
	held := p.nodes.held(e.Slot)
	switch e.Op {
	case policies.OpInsert, policies.OpRestore:
		if held != nil {
			p.listOf(held).remove(p.nodes.all, uint32(e.Slot))
		}
		n := p.nodes.at(e.Slot)
		if n == nil || in == nil {
			return
		}
		*n = node{weight: in.Weight}
		p.newest, p.returned = uint32(e.Slot), p.ghost.take(in.KeyHash)
		p.remember(e.Slot, in.KeyHash)
		if e.Op == policies.OpRestore {
			p.restore(in.Weight)
		}
	case policies.OpUpdate:
		if held != nil && in != nil {
			p.listOf(held).reweigh(held, in.Weight)
		}
	case policies.OpRemove, policies.OpExpire:
		if held != nil {
			p.listOf(held).remove(p.nodes.all, uint32(e.Slot))
		}
	}
}

// restore admits a restored entry: the coldest fill the small queue, where
// they are the next to go, the others the main queue.
func (p *S3FIFO) restore(weight uint32) {
	p.restored += int64(weight)
	p.returned = p.restored > p.smallLimit
	p.admit()
}

// remember keeps the key of a slot for its ghost.
func (p *S3FIFO) remember(s policies.Slot, h policies.KeyHash) {
	if n := len(p.nodes.all); len(p.keys) < n {
		p.keys = append(p.keys, make([]policies.KeyHash, n-len(p.keys))...)
	}
	p.keys[s] = h
}

// admit ends the waiting of the newest insert.
func (p *S3FIFO) admit() {
	if p.returned {
		p.main.push(p.nodes.all, p.newest)
	} else {
		p.small.push(p.nodes.all, p.newest)
	}
	p.newest = none
}

func (p *S3FIFO) listOf(n *node) *list {
	if n.list == inSmall {
		return &p.small
	}
	return &p.main
}

// Victims names entries from the tails of the queues. Where out is too short
// for the need, the newest insert stays aside for the next call.
func (p *S3FIFO) Victims(need int64, out []policies.Slot) (int, error) {
	n := 0
	for n < len(out) && need > 0 {
		s := p.victim()
		if s == none {
			if p.newest == none {
				break
			}
			p.admit()
			continue
		}
		out[n] = policies.Slot(s)
		n++
		need -= int64(p.nodes.all[s].weight)
	}
	if p.newest != none && need <= 0 {
		p.admit()
	}
	return n, nil
}

// victim takes the next victim out of its queue; none where both are empty.
// While the small queue is looked through, the main queue may exceed its
// limit: that is settled at the next victim.
func (p *S3FIFO) victim() uint32 {
	if p.main.weight <= p.mainLimit {
		if s := p.fromSmall(); s != none {
			return s
		}
	}
	if s := p.fromMain(); s != none {
		return s
	}
	return p.fromSmall()
}

// fromSmall moves entries that were asked for often enough to the main queue
// until it finds one that was not; none where there is no such.
func (p *S3FIFO) fromSmall() uint32 {
	all := p.nodes.all
	for s := p.small.tail; s != none; s = p.small.tail {
		p.small.remove(all, s)
		if all[s].freq < moveAt {
			p.ghost.add(p.keys[s], all[s].weight)
			return s
		}
		all[s].freq = 0
		p.main.push(all, s)
	}
	return none
}

// fromMain gives entries that were asked for another round until it finds one
// that was not; none where the queue is empty.
func (p *S3FIFO) fromMain() uint32 {
	all := p.nodes.all
	for s := p.main.tail; s != none; s = p.main.tail {
		p.main.remove(all, s)
		if all[s].freq == 0 {
			return s
		}
		all[s].freq--
		p.main.push(all, s)
	}
	return none
}
