package l2

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// TierOptions configure a [Tier].
type TierOptions struct {
	// Store is the server; the tier owns it and closes it. Required.
	Store Store
	// Prefix stands before every key in the store. Default none.
	Prefix string
	// Timeout bounds a read, all in all. Default [DefaultTimeout].
	Timeout time.Duration
	// MaxValue bounds an envelope in bytes; larger values are not stored.
	// Default [DefaultMaxValue].
	MaxValue int
	// MaxTTL bounds the life of what is read, whatever it says. Default 0: not
	// bounded.
	MaxTTL time.Duration
	// QueueOps and QueueBytes bound the operations that wait for the store.
	// When they are full, new fills are dropped and deletes push out the oldest
	// fills; when only deletes are left, all are given up at once and every
	// entry created until then is void. Default 65,536 and 32 MiB.
	QueueOps   int
	QueueBytes int64
	// OnState is told every change of the breaker's state with the last error
	// of the store (nil when it closes). Called by the goroutine that caused
	// the change, under no lock. Default: nobody.
	OnState func(s State, lastError error)
}

// Tier is the second tier of a cache over a store. Safe for concurrent use.
// Reads take at most the timeout; nothing else waits for the store.
type Tier struct {
	o       TierOptions
	breaker *Breaker
	queue   *queue
	// voidUntil is a Unix time in nanoseconds: entries created until then are
	// void. Written by Delete and Put when the queue overflows; a stale read
	// could serve an entry that a concurrent delete is voiding.
	voidUntil atomic.Int64
	lastError atomic.Pointer[error]
	n         counters

	stop chan struct{} // closed by Close
	done chan struct{} // closed by the loop
	once sync.Once
}

type counters struct {
	hits, misses, errors, corrupt, skipped, writes, deletes, writeErrors, refused atomic.Uint64
}

// NewTier starts a tier; [Tier.Close] ends it. It does not wait for the store.
func NewTier(o TierOptions) *Tier {
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.MaxValue <= 0 {
		o.MaxValue = DefaultMaxValue
	}
	if o.QueueOps <= 0 {
		o.QueueOps = 1 << 16
	}
	if o.QueueBytes <= 0 {
		o.QueueBytes = 32 << 20
	}
	t := &Tier{o: o, queue: newQueue(o.QueueOps, o.QueueBytes), stop: make(chan struct{}), done: make(chan struct{})}
	t.breaker = NewBreaker(t.changed)
	go t.loop()
	return t
}

// Answer says what a read of a [Tier] found.
type Answer uint8

// The answers.
const (
	Miss Answer = iota // there is no valid entry
	Hit                // there is
	Away               // the store could not be asked
)

// Get is Read for those to whom a store that is away is like an empty one.
func (t *Tier) Get(ctx context.Context, key string) (Entry, bool) {
	e, answer := t.Read(ctx, key)
	return e, answer == Hit
}

// Read returns the entry under key: what waits in the queue, else what the
// store holds and what has been verified. It takes no longer than the timeout
// and ctx.
func (t *Tier) Read(ctx context.Context, key string) (Entry, Answer) {
	full := t.o.Prefix + key
	if o, ok := t.queue.pending(full); ok {
		return t.pendingEntry(o)
	}
	if !t.breaker.Allow() {
		t.n.skipped.Add(1)
		return Entry{}, Away
	}
	within, cancel := context.WithTimeout(ctx, t.o.Timeout)
	defer cancel()
	b, err := t.o.Store.Get(within, full)
	switch {
	case err == nil:
		t.breaker.Record(true)
	case errors.Is(err, ErrMiss):
		t.breaker.Record(true)
		t.n.misses.Add(1)
		return Entry{}, Miss
	case errors.Is(err, ErrForeign):
		t.breaker.Record(true)
		t.corrupt(full)
		return Entry{}, Miss
	default:
		if ctx.Err() == nil { // the caller's own end says nothing about the store
			t.n.errors.Add(1)
			t.failed(err)
		}
		t.n.misses.Add(1)
		return Entry{}, Away
	}
	e, err := Open(b, Opening{Key: full, Now: time.Now(), MaxTTL: t.o.MaxTTL})
	switch {
	case errors.Is(err, ErrCorrupt):
		t.corrupt(full)
		return Entry{}, Miss
	case err != nil || e.Created.UnixNano() <= t.voidUntil.Load():
		t.n.misses.Add(1)
		return Entry{}, Miss
	}
	t.n.hits.Add(1)
	return e, Hit
}

// ReadPending is Read for a moment in which the store must not be asked: only
// what waits in the queue is found.
func (t *Tier) ReadPending(key string) (Entry, Answer) {
	if o, ok := t.queue.pending(t.o.Prefix + key); ok {
		return t.pendingEntry(o)
	}
	t.n.skipped.Add(1)
	return Entry{}, Away
}

func (t *Tier) pendingEntry(o op) (Entry, Answer) {
	if o.class != classDelete {
		if e, err := Open(o.sealed, Opening{Key: o.key, Now: time.Now(), MaxTTL: t.o.MaxTTL}); err == nil {
			t.n.hits.Add(1)
			return e, Hit
		}
	}
	t.n.misses.Add(1)
	return Entry{}, Miss
}

// corrupt counts and deletes what lies under a key and is no entry.
func (t *Tier) corrupt(full string) {
	t.n.corrupt.Add(1)
	t.n.misses.Add(1)
	t.remove(full)
}

// Lease begins a load of key; see [Tier.Fill].
func (t *Tier) Lease(key string) Lease { return t.queue.lease(t.o.Prefix + key) }

// Fill queues a loaded entry. It reports false where the lease is void, the
// entry is too large or over, or there is no room.
func (t *Tier) Fill(l Lease, e Entry) bool {
	if !t.fits(e) || l.generation == 0 {
		return false
	}
	return t.queue.fill(l, Seal(nil, l.key, e), e.Expires)
}

// Put queues an entry that replaces what the store holds and voids leases of
// the key. An entry that does not fit becomes a delete.
func (t *Tier) Put(key string, e Entry) {
	full := t.o.Prefix + key
	if !t.fits(e) {
		t.remove(full)
		return
	}
	if !t.queue.put(full, Seal(nil, full, e), e.Expires) {
		t.voidAll()
	}
}

func (t *Tier) fits(e Entry) bool {
	return len(e.Value) <= t.o.MaxValue-EnvelopeBytes && e.Codec != 0 && e.Expires.After(time.Now())
}

// Delete queues deletes and voids leases of the keys. From its return on Get
// does not answer with what the store held, delivered or not.
func (t *Tier) Delete(keys ...string) {
	for _, key := range keys {
		t.remove(t.o.Prefix + key)
	}
}

func (t *Tier) remove(full string) {
	if !t.queue.remove(full) {
		t.voidAll()
	}
}

// voidAll voids every entry created until now.
func (t *Tier) voidAll() { t.voidUntil.Store(time.Now().UnixNano()) }

// Flush waits until nothing is pending, or for ctx.
func (t *Tier) Flush(ctx context.Context) error {
	select {
	case <-t.queue.whenIdle():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close delivers what is pending for at most a second, as long as the store
// answers, then closes the store. Safe to call twice.
func (t *Tier) Close() error {
	t.once.Do(func() { close(t.stop) })
	<-t.done
	return nil
}

// Stats is a snapshot of a tier's counters, each since its start.
type Stats struct {
	Hits        uint64 `json:"hits"`
	Misses      uint64 `json:"misses"`       // all reads without an answer but the skipped ones
	Errors      uint64 `json:"errors"`       // reads in which the store failed
	Corrupt     uint64 `json:"corrupt"`      // values that were no valid entries
	Skipped     uint64 `json:"skipped"`      // reads not made because the store was away
	Writes      uint64 `json:"writes"`       // values the store took
	Deletes     uint64 `json:"deletes"`      // deletes the store took
	WriteErrors uint64 `json:"write_errors"` // round trips of writes and deletes that failed
	Refused     uint64 `json:"refused"`      // values in round trips that a store out of memory refused
	Dropped     uint64 `json:"dropped"`      // fills given up for room in the queue
	Overflows   uint64 `json:"overflows"`    // times that all pending operations were given up

	Pending      int    `json:"pending"`       // operations that wait for the store
	PendingBytes int64  `json:"pending_bytes"` // their values' bytes
	State        State  `json:"-"`
	StateName    string `json:"state"`      // closed, open or half_open
	LastError    string `json:"last_error"` // of the store; empty while the breaker is closed
}

// Stats returns the counters; they are read one after another.
func (t *Tier) Stats() Stats {
	s := Stats{
		Hits: t.n.hits.Load(), Misses: t.n.misses.Load(), Errors: t.n.errors.Load(), Corrupt: t.n.corrupt.Load(),
		Skipped: t.n.skipped.Load(), Writes: t.n.writes.Load(), Deletes: t.n.deletes.Load(),
		WriteErrors: t.n.writeErrors.Load(), Refused: t.n.refused.Load(), State: t.breaker.State(),
	}
	s.Pending, s.PendingBytes, s.Dropped, s.Overflows = t.queue.size()
	s.StateName = s.State.String()
	if err := t.lastError.Load(); err != nil && s.State != StateClosed {
		s.LastError = clip((*err).Error())
	}
	return s
}

// State returns the breaker's state.
func (t *Tier) State() State { return t.breaker.State() }

// failed notes that the store did not do its work.
func (t *Tier) failed(err error) {
	t.lastError.Store(&err)
	t.breaker.Record(false)
}

func (t *Tier) changed(s State) {
	t.queue.nudge() // the loop has to probe
	if t.o.OnState == nil {
		return
	}
	var last error
	if err := t.lastError.Load(); err != nil && s != StateClosed {
		last = *err
	}
	t.o.OnState(s, last)
}
