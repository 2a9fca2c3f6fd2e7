package peers

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/maypok86/otter/v2"
	"github.com/perfopt/perfopt/cache"
	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/eviction"
	"github.com/perfopt/perfopt/policies/features"
)

const (
	goroutines = 8
	residents  = 1 << 16
	universe   = 1 << 20
	skew       = 0.99
)

// peer is a cache under test.
type peer struct {
	get   func(string) bool
	set   func(string, []byte)
	share func() float64 // of hits that reached the policy; NaN = not told
	close func()
}

func perfopt(policy func() policies.Orderer) func(testing.TB, int) peer {
	return func(b testing.TB, capacity int) peer {
		o := cache.Options[string, []byte]{Capacity: int64(capacity)}
		if policy != nil {
			o.Eviction = func(*features.Table) (policies.Orderer, error) { return policy(), nil }
		}
		c, err := cache.New(o)
		if err != nil {
			b.Fatal(err)
		}
		return peer{
			get: func(k string) bool { _, ok := c.Get(k); return ok },
			set: func(k string, v []byte) { c.Set(k, v) },
			share: func() float64 {
				st := c.Stats()
				return float64(st.Recorded) / float64(max(st.Hits, 1))
			},
			close: c.Close,
		}
	}
}

func otterPeer(b testing.TB, capacity int) peer {
	c, err := otter.New(&otter.Options[string, []byte]{MaximumSize: capacity})
	if err != nil {
		b.Fatal(err)
	}
	return peer{
		get:   func(k string) bool { _, ok := c.GetIfPresent(k); return ok },
		set:   func(k string, v []byte) { c.Set(k, v) },
		share: func() float64 { return math.NaN() },
		close: func() { c.StopAllGoroutines() },
	}
}

var peers = []struct {
	name string
	new  func(testing.TB, int) peer
}{
	{"perfopt-default", perfopt(nil)},
	{"perfopt-lru", perfopt(func() policies.Orderer { return eviction.NewLRU() })},
	{"perfopt-s3fifo", perfopt(func() policies.Orderer { return eviction.NewS3FIFO() })},
	{"otter", otterPeer},
}

var (
	keys  = sync.OnceValue(func() []string { return makeKeys(universe) })
	zipfs = sync.OnceValue(makeZipf)
	value = make([]byte, 64)
)

func makeKeys(n int) []string {
	k := make([]string, n)
	for i := range k {
		k[i] = fmt.Sprintf("key-%012d", i)
	}
	return k
}

// makeZipf returns a long run of Zipf-distributed numbers below residents.
func makeZipf() []uint32 {
	sums := make([]float64, residents)
	total := 0.0
	for i := range sums {
		total += 1 / math.Pow(float64(i+1), skew)
		sums[i] = total
	}
	rng := rand.New(rand.NewPCG(1, 2))
	place := rng.Perm(residents)
	out := make([]uint32, 1<<20)
	for i := range out {
		u := rng.Float64() * total
		lo, hi := 0, residents-1
		for lo < hi {
			if mid := (lo + hi) / 2; sums[mid] < u {
				lo = mid + 1
			} else {
				hi = mid
			}
		}
		out[i] = uint32(place[lo])
	}
	return out
}

// run drives op from 8 goroutines; op gets a running number of its goroutine.
func run(b *testing.B, op func(n int)) {
	b.SetParallelism(max(goroutines/runtime.GOMAXPROCS(0), 1))
	var start atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		n := int(start.Add(1)) * 7_919_317
		for pb.Next() {
			op(n)
			n++
		}
	})
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mops/s")
}

func benchmark(b *testing.B, capacity int, fill int, op func(p peer) func(n int)) {
	for _, peer := range peers {
		b.Run(peer.name, func(b *testing.B) {
			p := peer.new(b, capacity)
			defer p.close()
			for _, k := range keys()[:fill] {
				p.set(k, value)
			}
			runtime.GC()
			run(b, op(p))
			if share := p.share(); !math.IsNaN(share) {
				b.ReportMetric(share, "recorded/hit")
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	benchmark(b, residents*10/8, residents, func(p peer) func(int) {
		k, z := keys(), zipfs()
		return func(n int) {
			if !p.get(k[z[n&(1<<20-1)]]) {
				b.Error("a miss among residents")
			}
		}
	})
}

func BenchmarkMix(b *testing.B) {
	benchmark(b, residents*10/8, residents, func(p peer) func(int) {
		k, z := keys(), zipfs()
		return func(n int) {
			if key := k[z[n&(1<<20-1)]]; n&3 == 0 {
				p.set(key, value)
			} else {
				p.get(key)
			}
		}
	})
}

func BenchmarkEvict(b *testing.B) {
	benchmark(b, residents, residents, func(p peer) func(int) {
		k := keys()
		return func(n int) { p.set(k[uint64(n)*0x9E37_79B9_7F4A_7C15>>44], value) }
	})
}
