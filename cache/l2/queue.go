package l2

import (
	"container/list"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
)

// class orders pending operations: deletes go out first, fills may be lost.
type class uint8

const (
	classDelete class = iota // must arrive
	classPut                 // must arrive, or be a delete
	classFill                // a copy of what can be loaded again: may be dropped
	numClasses
)

// op is the newest operation on a key that the store has not acknowledged.
type op struct {
	key     string
	class   class
	sealed  []byte // nil for a delete
	expires time.Time
	element *list.Element // nil while it is on its way
}

// leaseStripes bounds the memory of leases: keys share a stripe, so a delete
// may void a fill of another key in 1 of 1,024 cases, never the reverse.
const leaseStripes = 1024

// Lease is the permission to fill a key with what was loaded after it was
// given; a later Put or Delete of the key voids it. The zero Lease is void.
type Lease struct {
	key        string
	generation uint64
}

// queue holds the operations for the store, bounded in number and bytes. Safe
// for concurrent use; no method waits.
type queue struct {
	maxOps   int
	maxBytes int64
	wake     chan struct{} // capacity 1: something is waiting

	mu          sync.Mutex // guards the fields below
	ops         map[string]*op
	order       [numClasses]list.List // waiting operations, oldest first
	bytes       int64                 // of the sealed values in ops
	generations [leaseStripes]uint64  // from 1; a bump voids the leases of the stripe
	dropped     uint64                // fills given up for room
	overflows   uint64                // times that all was given up
	idle        []chan struct{}       // closed when ops is empty
}

func newQueue(maxOps int, maxBytes int64) *queue {
	q := &queue{maxOps: maxOps, maxBytes: maxBytes, wake: make(chan struct{}, 1), ops: make(map[string]*op)}
	for i := range q.generations {
		q.generations[i] = 1
	}
	return q
}

// pending returns the operation on key that has not arrived yet.
func (q *queue) pending(key string) (op, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if o := q.ops[key]; o != nil {
		return *o, true
	}
	return op{}, false
}

func (q *queue) lease(key string) Lease {
	i := stripe(key)
	q.mu.Lock()
	defer q.mu.Unlock()
	return Lease{key: key, generation: q.generations[i]}
}

// fill queues a loaded value unless the lease is void or there is no room.
func (q *queue) fill(l Lease, sealed []byte, expires time.Time) bool {
	i := stripe(l.key)
	q.mu.Lock()
	defer q.mu.Unlock()
	if l.generation != q.generations[i] {
		return false
	}
	former := q.ops[l.key]
	grows := int64(len(sealed))
	if former != nil {
		grows -= int64(len(former.sealed))
	}
	if q.bytes+grows > q.maxBytes || (former == nil && len(q.ops) >= q.maxOps) {
		q.dropped++
		return false
	}
	// A fill in place of a write that has not arrived must arrive as well.
	as := classFill
	if former != nil && former.class != classFill {
		as = classPut
	}
	q.push(&op{key: l.key, class: as, sealed: sealed, expires: expires})
	return true
}

// put queues a value that replaces what the store holds. It reports false
// where all pending operations had to be given up.
func (q *queue) put(key string, sealed []byte, expires time.Time) bool {
	i := stripe(key)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.generations[i]++
	o := &op{key: key, class: classPut, sealed: sealed, expires: expires}
	q.forget(key)
	for q.bytes+int64(len(sealed)) > q.maxBytes && q.dropFill() {
	}
	if q.bytes+int64(len(sealed)) > q.maxBytes {
		o.class, o.sealed = classDelete, nil
	}
	return q.pushFirm(o)
}

// remove queues a delete. It reports false where all pending operations had to
// be given up.
func (q *queue) remove(key string) bool {
	i := stripe(key)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.generations[i]++
	return q.pushFirm(&op{key: key, class: classDelete})
}

// pushFirm makes room for an operation that must arrive; the lock is held.
func (q *queue) pushFirm(o *op) bool {
	q.forget(o.key)
	ok := true
	if len(q.ops) >= q.maxOps && !q.dropFill() {
		for _, waiting := range q.ops {
			q.unlist(waiting)
		}
		clear(q.ops)
		q.bytes = 0
		q.overflows++
		ok = false
	}
	q.push(o)
	return ok
}

// push makes o the newest operation of its key; the lock is held.
func (q *queue) push(o *op) {
	q.forget(o.key)
	q.ops[o.key] = o
	q.bytes += int64(len(o.sealed))
	o.element = q.order[o.class].PushBack(o)
	q.nudge()
}

// nudge wakes whoever delivers.
func (q *queue) nudge() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// forget takes the pending operation of key out; the lock is held.
func (q *queue) forget(key string) {
	if former := q.ops[key]; former != nil {
		q.unlist(former)
		delete(q.ops, key)
		q.bytes -= int64(len(former.sealed))
	}
}

func (q *queue) unlist(o *op) {
	if o.element != nil {
		q.order[o.class].Remove(o.element)
		o.element = nil
	}
}

// dropFill gives up the oldest waiting fill; the lock is held.
func (q *queue) dropFill() bool {
	front := q.order[classFill].Front()
	if front == nil {
		return false
	}
	q.forget(front.Value.(*op).key)
	q.dropped++
	return true
}

// Bounds of one round trip.
const (
	batchOps   = 128
	batchBytes = 1 << 20
)

// take returns the next batch to send: deletes if there are any, otherwise
// values. They stay pending until they are settled.
func (q *queue) take() []*op {
	q.mu.Lock()
	defer q.mu.Unlock()
	var batch []*op
	size := 0
	for c := range numClasses {
		if len(batch) > 0 && batch[0].class == classDelete {
			break
		}
		for front := q.order[c].Front(); front != nil; front = q.order[c].Front() {
			o := front.Value.(*op)
			if len(batch) == batchOps || (len(batch) > 0 && size+len(o.sealed) > batchBytes) {
				return batch
			}
			q.unlist(o)
			size += len(o.sealed)
			batch = append(batch, o)
		}
	}
	return batch
}

// settle ends a batch that take gave: done operations are forgotten, others go
// back to the front of their order, unless a newer one has taken their place.
func (q *queue) settle(batch []*op, done bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range batch {
		o := batch[len(batch)-1-i]
		if q.ops[o.key] != o {
			continue
		}
		if done {
			q.forget(o.key)
		} else {
			o.element = q.order[o.class].PushFront(o)
		}
	}
	if len(q.ops) == 0 {
		for _, c := range q.idle {
			close(c)
		}
		q.idle = nil
	}
}

// replace puts a delete in the place of a value that could not be stored,
// unless a newer operation has taken it.
func (q *queue) replace(o *op) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ops[o.key] == o {
		q.push(&op{key: o.key, class: classDelete})
	}
}

// whenIdle returns a channel that is closed once nothing is pending.
func (q *queue) whenIdle() <-chan struct{} {
	c := make(chan struct{})
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.ops) == 0 {
		close(c)
	} else {
		q.idle = append(q.idle, c)
	}
	return c
}

// deletesWaiting reports whether deletes wait to be sent.
func (q *queue) deletesWaiting() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.order[classDelete].Len() > 0
}

func (q *queue) size() (ops int, bytes int64, dropped, overflows uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.ops), q.bytes, q.dropped, q.overflows
}

func stripe(key string) uint64 { return xxhash.Sum64String(key) % leaseStripes }
