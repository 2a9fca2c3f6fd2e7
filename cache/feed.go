package cache

import (
	"fmt"
	"io"
	"sync"

	"github.com/perfopt/perfopt/policies"
)

const (
	// batchBound is the number of events of one call of a policy.
	batchBound = 1024
	// logBound is the number of events that may wait for a policy that has not
	// come back; beyond it writers wait for that one call.
	logBound = 1 << 17
)

// log is a sequence of events and the rows that belong to them.
type log struct {
	events  []policies.Event
	inserts []policies.Insert
}

func (l *log) add(e policies.Event, in policies.Insert) {
	l.events = append(l.events, e)
	if e.Op.HasInsert() {
		l.inserts = append(l.inserts, in)
	}
}

func (l *log) reset() { l.events, l.inserts = l.events[:0], l.inserts[:0] }

// bitmap is a set of slots that grows with the highest.
type bitmap []uint64

func (b bitmap) has(s policies.Slot) bool {
	w := int(s >> 6)
	return w < len(b) && b[w]>>(s&63)&1 != 0
}

func (b *bitmap) set(s policies.Slot) {
	w := int(s >> 6)
	if w >= len(*b) {
		*b = append(*b, make([]uint64, w+1-len(*b))...)
	}
	(*b)[w] |= 1 << (s & 63)
}

func (b bitmap) clear(s policies.Slot) {
	if w := int(s >> 6); w < len(b) {
		b[w] &^= 1 << (s & 63)
	}
}

// accept reports whether the holder of the set may see an event, and notes
// what it does to the set: nothing is shown of a slot that is not held.
func (b *bitmap) accept(e policies.Event) bool {
	switch e.Op {
	case policies.OpMiss:
		return true
	case policies.OpInsert, policies.OpRestore:
		if b.has(e.Slot) {
			return false
		}
		b.set(e.Slot)
		return true
	case policies.OpRemove, policies.OpExpire:
		if !b.has(e.Slot) {
			return false
		}
		b.clear(e.Slot)
		return true
	}
	return b.has(e.Slot)
}

// seat is the eviction policy in force. All fields are guarded by the turn.
type seat struct {
	policy policies.Orderer // nil: the host's sampler makes room
	info   policies.Info
	fault  error // why there is no policy
}

// observe shows a policy a batch; a panic becomes a fault.
func observe(p policies.Orderer, l log) (err error) {
	defer recovered(p, &err)
	return p.Observe(l.events, l.inserts)
}

func victims(p policies.Orderer, need int64, out []policies.Slot) (n int, err error) {
	defer recovered(p, &err)
	n, err = p.Victims(need, out)
	if err == nil && (n < 0 || n > len(out)) {
		err = fault(p, policies.FaultOutput, "named %d victims where %d were asked for", n, len(out))
	}
	return n, err
}

func reset(p policies.Orderer, c policies.Capacity) (err error) {
	defer recovered(p, &err)
	return p.Reset(c)
}

func recovered(p policies.Orderer, err *error) {
	if r := recover(); r != nil {
		*err = fault(p, policies.FaultTrap, "panic: %v", r)
	}
}

func fault(p policies.Orderer, reason policies.FaultReason, format string, args ...any) error {
	return &policies.Fault{
		Policy: infoOf(p).Name, Kind: policies.KindEviction, Reason: reason,
		Detail: fmt.Sprintf(format, args...),
	}
}

func infoOf(p policies.Orderer) (i policies.Info) {
	defer func() { _ = recover() }()
	return p.Info()
}

func closePolicy(p any) error {
	if c, ok := p.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// tee collects, for a policy that is being taught aside, what happens
// meanwhile: as a log, and when that is full as the set of slots whose holder
// has changed.
type tee struct {
	bound int

	mu sync.Mutex
	// guards the fields below
	log     log
	changed bitmap // nil as long as the log is complete
}

// add takes in an event. Hits leave half of the room to what must not be lost.
func (t *tee) add(e policies.Event, in policies.Insert) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(t.log.events)
	switch {
	case t.changed == nil && n < t.bound:
		if e.Op != policies.OpHit || n < t.bound/2 {
			t.log.add(e, in)
		}
	case t.changed == nil:
		t.changed = make(bitmap, 1)
		for _, old := range t.log.events {
			t.note(old)
		}
		t.log = log{}
		fallthrough
	default:
		t.note(e)
	}
}

func (t *tee) note(e policies.Event) {
	if e.Slot != policies.NoSlot && e.Op != policies.OpHit {
		t.changed.set(e.Slot)
	}
}

// take moves what was collected into l, or returns the slots that changed, and
// begins anew.
func (t *tee) take(l *log) (changed bitmap) {
	l.reset()
	t.mu.Lock()
	defer t.mu.Unlock()
	*l, t.log = t.log, *l
	changed, t.changed = t.changed, nil
	return changed
}
