package cache

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// PanicError is what every waiter gets when a loader panics.
type PanicError struct {
	Value any    // what the loader panicked with
	Stack []byte // where
}

// Error returns the value of the panic and its stack.
func (e *PanicError) Error() string { return fmt.Sprintf("loader panicked: %v\n%s", e.Value, e.Stack) }

// Unwrap returns the value of the panic where it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

var errLoaderExited = errors.New("loader ended its goroutine without returning")

// call is a load in flight. waiters and void are guarded by the shard's lock;
// value and err are written before done is closed.
type call[V any] struct {
	done    chan struct{}
	value   V
	err     error
	cancel  context.CancelFunc
	waiters int
	void    bool // the key was written or deleted, or everybody left: not to be stored
}

// loadLife lets Close end the loads and wait for them.
type loadLife struct {
	ctx context.Context
	end context.CancelFunc
	all sync.WaitGroup

	mu sync.Mutex
	// guards the fields below and additions to all
	closed bool
}

func newLoadLife() *loadLife {
	l := new(loadLife)
	l.ctx, l.end = context.WithCancel(context.Background())
	return l
}

func (l *loadLife) add() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.all.Add(1)
	}
	return !l.closed
}

func (l *loadLife) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.end()
	l.all.Wait()
}

// GetOrLoad returns the value of a key and, where the cache has none, loads it:
// once for all who ask meanwhile. The loader's context carries the values of
// the first caller's and is cancelled when the last of them has left, or the
// cache is closed. A caller whose own context ends leaves with its error; the
// others stay. An error is returned to all and not stored; a panic becomes a
// [*PanicError]. A key that is written or deleted during its load is loaded
// again by those who ask afterwards, and the older value is not stored.
func (c *Cache[K, V]) GetOrLoad(ctx context.Context, key K, loader func(context.Context, K) (V, error)) (V, error) {
	if v, ok := c.Get(key); ok {
		return v, nil
	}
	var zero V
	if err := ctx.Err(); err != nil {
		return zero, err
	}
	hash := c.hasher.index(key)
	s, _ := c.shardOf(hash)
	s.mu.Lock()
	if e, _ := s.table.Load().find(hash, key); e != nil && !c.expired(e.expiry()) {
		s.mu.Unlock() // loaded since the look above
		return e.value, nil
	}
	l, joined := s.calls[key]
	if joined {
		l.waiters++
		s.mu.Unlock()
		return c.await(ctx, s, key, l)
	}
	l = &call[V]{done: make(chan struct{}), waiters: 1}
	if s.calls == nil {
		s.calls = make(map[K]*call[V])
	}
	s.calls[key] = l
	detached, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l.cancel = cancel
	s.mu.Unlock()
	if c.inline || !c.life.add() {
		c.load(detached, s, key, hash, l, loader)
		return l.value, l.err
	}
	go func() {
		defer c.life.all.Done()
		defer context.AfterFunc(c.life.ctx, cancel)()
		c.load(detached, s, key, hash, l, loader)
	}()
	return c.await(ctx, s, key, l)
}

// await returns the outcome of a load, or the caller's own end.
func (c *Cache[K, V]) await(ctx context.Context, s *shard[K, V], key K, l *call[V]) (V, error) {
	select {
	case <-l.done:
		return l.value, l.err
	case <-ctx.Done():
	}
	s.mu.Lock()
	if l.waiters--; l.waiters == 0 {
		l.void = true
		if s.calls[key] == l {
			delete(s.calls, key)
		}
		l.cancel()
	}
	s.mu.Unlock()
	var zero V
	return zero, ctx.Err()
}

// load runs a loader and stores what it returns, unless the call was voided.
func (c *Cache[K, V]) load(ctx context.Context, s *shard[K, V], key K, hash uint64, l *call[V], loader func(context.Context, K) (V, error)) {
	start := c.now()
	l.err = errLoaderExited
	defer func() {
		if r := recover(); r != nil {
			l.err = &PanicError{r, debug.Stack()}
		}
		cost := time.Duration(c.now() - start)
		c.loads.observe(cost, l.err)
		if l.err == nil {
			c.write(key, l.value, Write{LoadCost: cost}, hash, &lease[V]{call: l})
		}
		s.mu.Lock()
		if s.calls[key] == l {
			delete(s.calls, key)
		}
		s.mu.Unlock()
		l.cancel()
		close(l.done)
	}()
	l.value, l.err = loader(ctx, key)
}

// Token is a lease on a key: the right to fill it as long as nobody wrote or
// deleted it.
type Token[K comparable] struct {
	key        K
	hash       uint64
	generation uint32
}

// Begin takes a lease on a key before it is loaded.
func (c *Cache[K, V]) Begin(key K) Token[K] {
	hash := c.hasher.index(key)
	s, _ := c.shardOf(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leases == nil {
		s.leases = new([leaseStripes]uint32)
	}
	return Token[K]{key, hash, s.leases[hash>>32%leaseStripes]}
}

// Fill stores a value under a lease, and returns false where the key was
// written, deleted or cleared since [Cache.Begin], or the value is too heavy:
// then nothing is stored. Leases share generations: 256 a shard, so a write of
// another key may void one, never the other way.
func (c *Cache[K, V]) Fill(t Token[K], value V, w Write) bool {
	return c.write(t.key, value, w, t.hash, &lease[V]{generation: t.generation})
}

// holds reports whether a lease is still valid. The shard's lock is held.
func (s *shard[K, V]) holds(l *lease[V], hash uint64) bool {
	switch {
	case l == nil:
		return true
	case l.call != nil:
		return !l.call.void
	}
	return s.leases != nil && s.leases[hash>>32%leaseStripes] == l.generation
}

// loadBuckets is the number of powers of two of microseconds, up to an hour.
const loadBuckets = 33

// loadCounts counts loads and TTL faults; any goroutine.
type loadCounts struct {
	ok, failed, nanos, ttlFaults atomic.Uint64
	buckets                      [loadBuckets]atomic.Uint64
}

func (l *loadCounts) observe(cost time.Duration, err error) {
	if err != nil {
		l.failed.Add(1)
	} else {
		l.ok.Add(1)
	}
	l.nanos.Add(uint64(max(cost, 0)))
	l.buckets[min(bits.Len64(uint64(max(cost, 0)/time.Microsecond)), loadBuckets-1)].Add(1)
}

// quantile returns an upper bound, within a factor of two, of what the given
// share of loads took; 0 without loads.
func (l *loadCounts) quantile(q float64) time.Duration {
	var counts [loadBuckets]uint64
	total := uint64(0)
	for i := range counts {
		counts[i] = l.buckets[i].Load()
		total += counts[i]
	}
	rank, sum := uint64(q*float64(total)), uint64(0)
	for i, n := range counts {
		if sum += n; n > 0 && sum >= max(rank, 1) {
			return time.Duration(uint64(1)<<i) * time.Microsecond
		}
	}
	return 0
}
