package tiered

import (
	"context"
	"hash/maphash"
	"sync"
	"time"
)

// flight is a load under way and those who wait for it. Its context ends when
// the last of them has left or its time is over.
type flight[K comparable, V any] struct {
	key    K
	ctx    context.Context
	cancel context.CancelFunc
	detach func() bool   // unties it from the life of all flights
	done   chan struct{} // closed when the result stands

	prefetch bool // begun by the prefetch engine

	// The result; written before done is closed.
	item    Item[V]
	loaded  *held[V] // by a prefetch
	private bool     // for the one who began it, nobody else
	err     error

	waiters int // guarded by the lock of the flight's shard
}

const flightShards = 64

// flights holds at most one flight a key that can be joined. Safe for
// concurrent use.
type flights[K comparable, V any] struct {
	seed    maphash.Seed
	timeout time.Duration // of a flight; 0: none
	life    context.Context
	end     context.CancelFunc
	all     sync.WaitGroup // added to under a shard's lock, unless closed
	shards  [flightShards]flightShard[K, V]
}

type flightShard[K comparable, V any] struct {
	mu     sync.Mutex // guards the fields below
	byKey  map[K]*flight[K, V]
	closed bool
}

func newFlights[K comparable, V any](timeout time.Duration) *flights[K, V] {
	f := &flights[K, V]{seed: maphash.MakeSeed(), timeout: timeout}
	f.life, f.end = context.WithCancel(context.Background())
	for i := range f.shards {
		f.shards[i].byKey = make(map[K]*flight[K, V])
	}
	return f
}

func (fs *flights[K, V]) shard(key K) *flightShard[K, V] {
	return &fs.shards[maphash.Comparable(fs.seed, key)%flightShards]
}

// join returns the flight of a key, true to the one who has to fly and land it;
// nil after close.
func (fs *flights[K, V]) join(ctx context.Context, key K, prefetch bool) (*flight[K, V], bool) {
	s := fs.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.byKey[key]; f != nil {
		f.waiters++
		return f, false
	}
	if s.closed {
		return nil, false
	}
	f := &flight[K, V]{key: key, done: make(chan struct{}), waiters: 1, prefetch: prefetch}
	ctx = context.WithoutCancel(ctx)
	if fs.timeout > 0 {
		f.ctx, f.cancel = context.WithTimeout(ctx, fs.timeout)
	} else {
		f.ctx, f.cancel = context.WithCancel(ctx)
	}
	f.detach = context.AfterFunc(fs.life, f.cancel)
	fs.all.Add(1)
	s.byKey[key] = f
	return f, true
}

// leave takes one waiter off. The last one ends the flight's context; then, and
// when its time is over, later callers begin anew.
func (fs *flights[K, V]) leave(f *flight[K, V]) {
	s := fs.shard(f.key)
	s.mu.Lock()
	f.waiters--
	last := f.waiters == 0
	if (last || f.ctx.Err() != nil) && s.byKey[f.key] == f {
		delete(s.byKey, f.key)
	}
	s.mu.Unlock()
	if last {
		f.cancel()
	}
}

// land publishes the result of a flight.
func (fs *flights[K, V]) land(f *flight[K, V]) {
	s := fs.shard(f.key)
	s.mu.Lock()
	if s.byKey[f.key] == f {
		delete(s.byKey, f.key)
	}
	s.mu.Unlock()
	close(f.done)
	f.detach()
	f.cancel()
	fs.all.Done()
}

// close ends the contexts of all flights and waits until they have landed.
func (fs *flights[K, V]) close() {
	for i := range fs.shards {
		s := &fs.shards[i]
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
	}
	fs.end()
	fs.all.Wait()
}

// forget lets callers from now on begin anew: what the flight of the key, if
// any, brings was overtaken by a write or delete.
func (fs *flights[K, V]) forget(key K) {
	s := fs.shard(key)
	s.mu.Lock()
	delete(s.byKey, key)
	s.mu.Unlock()
}

// forgetAll is forget for every key.
func (fs *flights[K, V]) forgetAll() {
	for i := range fs.shards {
		s := &fs.shards[i]
		s.mu.Lock()
		clear(s.byKey)
		s.mu.Unlock()
	}
}

// flying reports whether a key is being loaded.
func (fs *flights[K, V]) flying(key K) bool {
	s := fs.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byKey[key] != nil
}

const (
	soloPlaces = 1024
	// soloTime is how long callers of a key whose answer was private do not
	// wait for each other: they would wait in vain.
	soloTime = 10 * time.Second
)

// solos remembers keys whose last answer was private, one a place: a key that
// lands on the place of another replaces it. Safe for concurrent use.
type solos[K comparable] struct {
	seed maphash.Seed

	mu     sync.Mutex // guards the fields below
	places [soloPlaces]solo[K]
}

type solo[K comparable] struct {
	key   K
	until time.Time
}

func (s *solos[K]) place(key K) *solo[K] {
	return &s.places[maphash.Comparable(s.seed, key)%soloPlaces]
}

func (s *solos[K]) add(key K) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*s.place(key) = solo[K]{key, time.Now().Add(soloTime)}
}

func (s *solos[K]) drop(key K) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.place(key); p.key == key {
		*p = solo[K]{}
	}
}

func (s *solos[K]) has(key K) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.place(key)
	return p.key == key && time.Now().Before(p.until)
}
