package perfopt

import (
	"sync"
	"sync/atomic"
	"time"

	hclog "github.com/hashicorp/go-hclog"

	"github.com/perfopt/perfopt/bench/trace"
	"github.com/perfopt/perfopt/policies"
)

const (
	// recordQueue bounds the accesses that wait for the disk, 40 bytes each;
	// more are dropped and counted, because recording must not slow the cache.
	recordQueue = 1 << 16
	// pendingMisses bounds the misses that wait for their insert, which tells
	// the size.
	pendingMisses = 4096
)

// recorder writes the accesses of a cache as an oracleGeneral trace: hashes,
// sizes and seconds, never keys. A miss is written when its entry is inserted;
// one that was not stored is written with size 1.
type recorder struct {
	writer  *trace.Writer
	log     hclog.Logger
	more    chan struct{} // something is in the queue, or it is closed
	done    chan struct{}
	dropped atomic.Uint64

	mu sync.Mutex
	// guards the fields below
	queue  []trace.Access
	closed bool

	// Of maintenance alone, which calls observe:
	slots   map[policies.Slot]trace.Access
	pending map[uint64]uint64 // by key: the number of the miss
	order   []pendingMiss     // oldest first; those that ended are passed over
	misses  uint64
	last    policies.Nanos // moment of the last batch
}

// pendingMiss is a miss whose insert may follow.
type pendingMiss struct{ key, number uint64 }

func newRecorder(path string, log hclog.Logger) (*recorder, error) {
	w, err := trace.Create(path)
	if err != nil {
		return nil, err
	}
	r := &recorder{
		writer: w, log: log, more: make(chan struct{}, 1), done: make(chan struct{}),
		slots: map[policies.Slot]trace.Access{}, pending: map[uint64]uint64{},
	}
	go r.write()
	return r, nil
}

// observe takes in a batch of the cache's events.
func (r *recorder) observe(now policies.Nanos, events []policies.Event, inserts []policies.Insert) {
	r.last = now
	var out []trace.Access
	emit := func(key uint64, size uint32) { out = append(out, accessAt(now, key, size)) }
	for _, e := range events {
		var in policies.Insert
		if e.Op.HasInsert() {
			in, inserts = inserts[0], inserts[1:]
		}
		key := uint64(in.KeyHash)
		switch e.Op {
		case policies.OpHit:
			if a, ok := r.slots[e.Slot]; ok {
				emit(a.Key, a.Size)
			}
		case policies.OpMiss:
			if r.pending[key] > 0 {
				emit(key, 1)
				continue
			}
			r.misses++
			r.pending[key] = r.misses
			if r.order = append(r.order, pendingMiss{key, r.misses}); len(r.order) > pendingMisses {
				if oldest := r.order[0]; r.forget(oldest) {
					emit(oldest.key, 1)
				}
				r.order = r.order[1:]
			}
		case policies.OpInsert, policies.OpUpdate, policies.OpRestore:
			r.slots[e.Slot] = trace.Access{Key: key, Size: in.Weight}
			if r.pending[key] > 0 {
				delete(r.pending, key)
				emit(key, in.Weight)
			}
		case policies.OpRemove, policies.OpExpire:
			delete(r.slots, e.Slot)
		}
	}
	r.enqueue(out)
}

// enqueue hands accesses to the writer as far as there is room.
func (r *recorder) enqueue(accesses []trace.Access) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	n := min(len(accesses), recordQueue-len(r.queue))
	r.queue = append(r.queue, accesses[:n]...)
	r.dropped.Add(uint64(len(accesses) - n))
	r.wake()
}

func (r *recorder) wake() {
	select {
	case r.more <- struct{}{}:
	default:
	}
}

func accessAt(now policies.Nanos, key uint64, size uint32) trace.Access {
	return trace.Access{Time: time.Duration(now), Key: key, Size: max(size, 1), HasTime: true, HasSize: true}
}

// forget ends the wait of a miss, and reports whether it was waiting.
func (r *recorder) forget(m pendingMiss) bool {
	if r.pending[m.key] != m.number {
		return false
	}
	delete(r.pending, m.key)
	return true
}

func (r *recorder) write() {
	defer close(r.done)
	var err error
	var accesses []trace.Access
	for range r.more {
		r.mu.Lock()
		accesses, r.queue = r.queue, accesses[:0]
		closed := r.closed
		r.mu.Unlock()
		for _, a := range accesses {
			if err == nil {
				if err = r.writer.Write(a); err != nil {
					r.log.Error("recording of accesses ended", "error", err)
				}
			}
		}
		if closed {
			break
		}
	}
	if closing := r.writer.Close(); closing != nil && err == nil {
		r.log.Error("the recording of accesses is incomplete", "error", closing)
	}
}

// close writes what is queued and the misses that nothing followed. The cache
// is closed before. Safe to call twice.
func (r *recorder) close() {
	var rest []trace.Access
	for _, m := range r.order {
		if r.forget(m) {
			rest = append(rest, accessAt(r.last, m.key, 1))
		}
	}
	r.enqueue(rest)
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.wake()
	<-r.done
	if n := r.dropped.Load(); n > 0 {
		r.log.Warn("accesses were left out of the recording, the disk was too slow", "accesses", n)
	}
}
