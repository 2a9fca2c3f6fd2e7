package l2

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

const (
	// batchTimeout bounds a round trip of the queue; no request waits for it.
	batchTimeout = time.Second
	// retryWait keeps a server that reads and does not write from being asked
	// to write in a tight loop.
	retryWait = 50 * time.Millisecond
	// closeTimeout bounds what Close spends on pending operations.
	closeTimeout = time.Second
)

// loop delivers the queue and probes an open breaker, until Close.
func (t *Tier) loop() {
	defer close(t.done)
	defer t.o.Store.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	// A store that is away is noticed before the first request meets it.
	for t.breaker.Allow() && !t.stopping() && !t.ping(ctx) {
	}
	for !t.stopping() {
		if wait, open := t.breaker.ProbeIn(); open {
			if t.pause(wait) {
				t.probe(ctx)
			}
			continue
		}
		batch := t.queue.take()
		if len(batch) == 0 {
			select {
			case <-t.queue.wake: // work, or the breaker has changed
			case <-t.stop:
			}
			continue
		}
		ok := t.deliver(ctx, batch)
		t.breaker.Record(ok)
		if !ok {
			t.pause(retryWait)
		}
	}
	t.drain(ctx)
}

func (t *Tier) stopping() bool {
	select {
	case <-t.stop:
		return true
	default:
		return false
	}
}

// pause waits that long and reports whether it did: Close ends it early.
func (t *Tier) pause(wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-t.stop:
		return false
	}
}

// ping reports whether the store lives; a failure counts for the breaker.
func (t *Tier) ping(ctx context.Context) bool {
	within, cancel := context.WithTimeout(ctx, t.o.Timeout)
	defer cancel()
	if err := t.o.Store.Ping(within); err != nil {
		t.failed(err)
		return false
	}
	return true
}

// probe asks an open breaker's store for a sign of life and, if there is one,
// delivers the waiting deletes before reads may go through again.
func (t *Tier) probe(ctx context.Context) {
	t.breaker.BeginProbe()
	ok := t.ping(ctx)
	for ok && t.queue.deletesWaiting() && !t.stopping() {
		if batch := t.queue.take(); len(batch) > 0 {
			ok = t.deliver(ctx, batch)
		}
	}
	t.breaker.EndProbe(ok)
}

// deliver sends a batch and settles it. It reports whether the store did its
// work.
func (t *Tier) deliver(ctx context.Context, batch []*op) bool {
	within, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	if batch[0].class == classDelete {
		keys := make([]string, len(batch))
		for i, o := range batch {
			keys[i] = o.key
		}
		err := t.o.Store.Delete(within, keys...)
		return t.settle(batch, err, &t.n.deletes, len(keys))
	}
	items := make([]Item, 0, len(batch))
	for _, o := range batch {
		left := time.Until(o.expires)
		if left <= 0 {
			t.giveUp(o)
			continue
		}
		items = append(items, Item{Key: o.key, Value: o.sealed, TTL: left})
	}
	err := t.o.Store.Set(within, items...)
	if errors.Is(err, ErrRefused) {
		t.n.refused.Add(uint64(len(items)))
		for _, o := range batch {
			t.giveUp(o)
		}
		t.queue.settle(batch, true)
		return true
	}
	return t.settle(batch, err, &t.n.writes, len(items))
}

// giveUp ends a value that cannot be stored. A put's key is deleted instead:
// the store may hold what the put should have replaced.
func (t *Tier) giveUp(o *op) {
	if o.class == classPut {
		t.queue.replace(o)
	}
}

// settle ends a round trip that carried n operations.
func (t *Tier) settle(batch []*op, err error, count *atomic.Uint64, n int) bool {
	t.queue.settle(batch, err == nil)
	if err != nil {
		t.n.writeErrors.Add(1)
		t.lastError.Store(&err)
		return false
	}
	count.Add(uint64(n))
	return true
}

// drain delivers what is pending while the store answers.
func (t *Tier) drain(ctx context.Context) {
	within, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	for within.Err() == nil && t.breaker.Allow() {
		batch := t.queue.take()
		if len(batch) == 0 || !t.deliver(within, batch) {
			return
		}
	}
}
