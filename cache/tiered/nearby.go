package tiered

import (
	"container/heap"
	"sync"

	"github.com/perfopt/perfopt/policies"
)

// recentKeys is a bounded map from hashes to keys, the oldest replaced first:
// what a policy names by hash can be asked for only by its key. Safe for
// concurrent use.
type recentKeys[K comparable] struct {
	mu    sync.Mutex // guards the fields below
	keys  map[policies.KeyHash]K
	order []policies.KeyHash // a ring; at is its oldest once it is full
	at    int
	bound int
}

func newRecentKeys[K comparable](bound int) *recentKeys[K] {
	return &recentKeys[K]{keys: make(map[policies.KeyHash]K), bound: bound}
}

func (r *recentKeys[K]) add(h policies.KeyHash, key K) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.keys[h]; known {
		return
	}
	if len(r.order) < r.bound {
		r.order = append(r.order, h)
	} else {
		delete(r.keys, r.order[r.at])
		r.order[r.at] = h
		r.at = (r.at + 1) % r.bound
	}
	r.keys[h] = key
}

func (r *recentKeys[K]) get(h policies.KeyHash) (K, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key, ok := r.keys[h]
	return key, ok
}

// drop forgets a key that cannot be loaded ahead; its place in the order stays
// taken until its turn.
func (r *recentKeys[K]) drop(h policies.KeyHash) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.keys, h)
}

// ending is an entry whose freshness ends.
type ending[K comparable] struct {
	key   K
	at    policies.Nanos // when to look at it (again)
	until policies.Nanos // the end of its freshness; another one: another entry
}

// endings is a bounded heap of entries by the moment at which they are to be
// looked at. An entry that does not fit is left out: if it is asked for near
// its end, the access offers it. Safe for concurrent use.
type endings[K comparable] struct {
	bound int

	mu   sync.Mutex // guards the field below
	heap endingHeap[K]
}

func (e *endings[K]) add(x ending[K]) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.heap) < e.bound {
		heap.Push(&e.heap, x)
	}
}

// due takes out what is to be looked at by now, at most n of it.
func (e *endings[K]) due(now policies.Nanos, n int) []ending[K] {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []ending[K]
	for len(e.heap) > 0 && e.heap[0].at <= now && len(out) < n {
		out = append(out, heap.Pop(&e.heap).(ending[K]))
	}
	return out
}

type endingHeap[K comparable] []ending[K]

func (h endingHeap[K]) Len() int           { return len(h) }
func (h endingHeap[K]) Less(i, j int) bool { return h[i].at < h[j].at }
func (h endingHeap[K]) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *endingHeap[K]) Push(x any)        { *h = append(*h, x.(ending[K])) }

func (h *endingHeap[K]) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// teeBound is how many events wait for the prefetch policy at most.
const teeBound = 1 << 16

// tee holds the events of the first tier until the engine shows them to the
// policy. Full, it drops the newest and counts them: what a policy learns of
// successors is a sample anyway. Safe for concurrent use.
type tee struct {
	mu      sync.Mutex // guards the fields below
	events  []policies.Event
	inserts []policies.Insert
	dropped uint64
}

func (t *tee) add(events []policies.Event, inserts []policies.Insert) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.events)+len(events) > teeBound {
		t.dropped += uint64(len(events))
		return
	}
	t.events = append(t.events, events...)
	t.inserts = append(t.inserts, inserts...)
}

// take exchanges what has collected for emptied slices.
func (t *tee) take(events []policies.Event, inserts []policies.Insert) ([]policies.Event, []policies.Insert) {
	t.mu.Lock()
	defer t.mu.Unlock()
	events, t.events = t.events, events[:0]
	inserts, t.inserts = t.inserts, inserts[:0]
	return events, inserts
}
