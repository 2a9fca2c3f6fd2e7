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
	// recordQueue bounds the batches that wait for the disk; more are dropped
	// and counted, because recording must not slow the cache.
	recordQueue = 64
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
	batches chan []trace.Access
	done    chan struct{}
	dropped atomic.Uint64

	mu sync.Mutex
	// guards the fields below
	closed bool

	// Of maintenance alone, which calls observe:
	slots   map[policies.Slot]trace.Access
	pending map[uint64]bool
	order   []uint64 // of pending, oldest first
}

func newRecorder(path string, log hclog.Logger) (*recorder, error) {
	w, err := trace.Create(path)
	if err != nil {
		return nil, err
	}
	r := &recorder{
		writer: w, log: log, batches: make(chan []trace.Access, recordQueue), done: make(chan struct{}),
		slots: map[policies.Slot]trace.Access{}, pending: map[uint64]bool{},
	}
	go r.write()
	return r, nil
}

// observe takes in a batch of the cache's events.
func (r *recorder) observe(now policies.Nanos, events []policies.Event, inserts []policies.Insert) {
	var out []trace.Access
	emit := func(key uint64, size uint32) {
		out = append(out, trace.Access{Time: time.Duration(now), Key: key, Size: max(size, 1), HasTime: true, HasSize: true})
	}
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
			if r.pending[key] {
				emit(key, 1)
				continue
			}
			r.pending[key] = true
			if r.order = append(r.order, key); len(r.order) > pendingMisses {
				if oldest := r.order[0]; r.pending[oldest] {
					delete(r.pending, oldest)
					emit(oldest, 1)
				}
				r.order = r.order[1:]
			}
		case policies.OpInsert, policies.OpUpdate, policies.OpRestore:
			r.slots[e.Slot] = trace.Access{Key: key, Size: in.Weight}
			if r.pending[key] {
				delete(r.pending, key)
				emit(key, in.Weight)
			}
		case policies.OpRemove, policies.OpExpire:
			delete(r.slots, e.Slot)
		}
	}
	if len(out) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	select {
	case r.batches <- out:
	default:
		r.dropped.Add(uint64(len(out)))
	}
}

func (r *recorder) write() {
	defer close(r.done)
	failed := false
	for batch := range r.batches {
		for _, a := range batch {
			if failed {
				break
			}
			if err := r.writer.Write(a); err != nil {
				failed = true
				r.log.Error("recording of accesses ended", "error", err)
			}
		}
	}
	if err := r.writer.Close(); err != nil && !failed {
		r.log.Error("the recording of accesses is incomplete", "error", err)
	}
}

// close writes what is queued. Safe to call twice.
func (r *recorder) close() {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		close(r.batches)
	}
	r.mu.Unlock()
	<-r.done
	if n := r.dropped.Load(); n > 0 {
		r.log.Warn("accesses were left out of the recording, the disk was too slow", "accesses", n)
	}
}
