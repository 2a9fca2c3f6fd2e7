package main

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

const (
	goroutines = 8
	residents  = 1 << 16
	universe   = 1 << 20
	skew       = 0.99
	valueSize  = 64
	draws      = 1 << 20
	// batch is how many operations a goroutine does between two looks at
	// whether time is up.
	batch = 512
	// settling is how long a cache runs before it is measured, in which buffers
	// grow and pools fill.
	settling = 300 * time.Millisecond
)

// scenario is what the goroutines do.
type scenario struct {
	name, what string
	capacity   int
	// op does the operation of a number; it returns whether it was a get and
	// whether that was a hit.
	op      func(t target, n uint64) (get, hit bool)
	mustHit bool
}

func scenarios() []scenario {
	keys, popular, value := makeKeys(), zipf(), make([]byte, valueSize)
	key := func(n uint64) string { return keys[popular[n%draws]] }
	return []scenario{
		{
			name: "read", what: "reads only, Zipf 0.99 over 65,536 keys, 80 % full", capacity: residents * 10 / 8, mustHit: true,
			op: func(t target, n uint64) (bool, bool) { return true, t.get(key(n)) },
		},
		{
			name: "mix", what: "75 % reads, 25 % writes, Zipf 0.99 over 65,536 keys, 80 % full", capacity: residents * 10 / 8, mustHit: true,
			op: func(t target, n uint64) (bool, bool) {
				if n%4 == 0 {
					t.set(key(n), value)
					return false, false
				}
				return true, t.get(key(n))
			},
		},
		{
			name: "evict", what: "writes only, uniform over 1,048,576 keys, capacity 65,536", capacity: residents,
			op: func(t target, n uint64) (bool, bool) {
				t.set(keys[n*0x9E37_79B9_7F4A_7C15>>44], value)
				return false, false
			},
		},
	}
}

func makeKeys() []string {
	keys := make([]string, universe)
	for i := range keys {
		keys[i] = fmt.Sprintf("key-%012d", i)
	}
	return keys
}

// zipf returns draws numbers below residents, Zipf-distributed; which are
// popular is random, but always the same.
func zipf() []uint32 {
	sums, total := make([]float64, residents), 0.0
	for i := range sums {
		total += 1 / math.Pow(float64(i+1), skew)
		sums[i] = total
	}
	rng := rand.New(rand.NewPCG(1, 2))
	place := rng.Perm(residents)
	out := make([]uint32, draws)
	for i := range out {
		out[i] = uint32(place[min(sort.SearchFloat64s(sums, rng.Float64()*total), residents-1)])
	}
	return out
}

// sample is one measurement.
type sample struct {
	rate     float64 // operations a second
	recorded float64 // share of the hits that reached the policy; negative: not known
	hits     float64 // share of the gets that hit; negative: there were none
}

// measure makes a cache, fills it and drives it.
func measure(p peer, sc scenario, duration time.Duration) (sample, error) {
	t, err := p.make(sc.capacity)
	if err != nil {
		return sample{}, err
	}
	defer t.close()
	value := make([]byte, valueSize)
	for i := range residents {
		t.set(fmt.Sprintf("key-%012d", i), value)
	}
	drive(t, sc, settling)
	runtime.GC()
	hits, recorded := t.counts()
	start := time.Now()
	n := drive(t, sc, duration)
	took := time.Since(start)
	m := sample{rate: float64(n.ops) / took.Seconds(), recorded: -1, hits: -1}
	if n.gets > 0 {
		m.hits = float64(n.hits) / float64(n.gets)
	}
	if h, r := t.counts(); recorded >= 0 && h > hits {
		m.recorded = float64(r-recorded) / float64(h-hits)
	}
	if sc.mustHit && n.hits < n.gets {
		return m, errors.New("a get of a resident key missed")
	}
	return m, nil
}

type counts struct{ ops, gets, hits int64 }

// drive runs the operations for a while.
func drive(t target, sc scenario, duration time.Duration) counts {
	var ops, gets, hits atomic.Int64
	var over atomic.Bool
	timer := time.AfterFunc(duration, func() { over.Store(true) })
	defer timer.Stop()
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			n := uint64(g) * 7_919_317
			var mine counts
			for !over.Load() {
				for range batch {
					get, hit := sc.op(t, n)
					n++
					if get {
						mine.gets++
					}
					if hit {
						mine.hits++
					}
				}
				mine.ops += batch
			}
			ops.Add(mine.ops)
			gets.Add(mine.gets)
			hits.Add(mine.hits)
		})
	}
	all.Wait()
	return counts{ops.Load(), gets.Load(), hits.Load()}
}
