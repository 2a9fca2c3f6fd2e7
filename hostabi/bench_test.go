package hostabi_test

import (
	"testing"

	"github.com/perfopt/perfopt/hostabi"
	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/eviction"
)

// nativeTTL is what ttl-base does, in Go.
type nativeTTL struct{}

func (nativeTTL) Info() policies.Info {
	return policies.Info{Name: "base", Kind: policies.KindTTL, Columns: []policies.Column{policies.ColBaseTTL}}
}

func (nativeTTL) TTL(in *policies.TTLBatch, out []policies.Nanos) error {
	for row, s := range in.Column(policies.ColBaseTTL) {
		out[row] = policies.Nanos(s * 1e9)
	}
	return nil
}

func BenchmarkTTL(b *testing.B) {
	module := closing[policies.TTL](b)(loadNamed(b, newHost(b, hostabi.Options{}), "ttl-base").TTL(hostabi.Env{}))
	for _, n := range []int{1, 1024} {
		for name, p := range map[string]policies.TTL{"native": nativeTTL{}, "module": module} {
			b.Run(size(n)+"/"+name, func(b *testing.B) {
				batch, out := ttlBatch(p, n, 1), make([]policies.Nanos, n)
				b.ReportAllocs()
				for b.Loop() {
					if err := p.TTL(batch, out); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/row")
			})
		}
	}
}

func BenchmarkScore(b *testing.B) {
	p := closing[policies.Scorer](b)(loadNamed(b, newHost(b, hostabi.Options{}), "score-size").Scorer(hostabi.Env{}))
	for _, n := range []int{17, 1024} {
		b.Run(size(n), func(b *testing.B) {
			var rows policies.Candidates
			rows.Resize(n, p.Info().Columns)
			out := make([]float64, n)
			b.ReportAllocs()
			for b.Loop() {
				if err := p.Score(&rows, out); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/row")
		})
	}
}

// BenchmarkEvents shows batches of hits over 65,536 residents to the LRU in C
// and to its native twin, and asks for victims and inserts them again.
func BenchmarkEvents(b *testing.B) {
	const slots = 65536
	module := closing[policies.Orderer](b)(lruC(b, newHost(b, hostabi.Options{})).Eviction(hostabi.Env{}))
	for _, n := range []int{64, 1024} {
		for name, o := range map[string]policies.Orderer{"native": eviction.NewLRU(), "module": module} {
			if err := o.Reset(policies.Capacity{Weight: slots, MaxSlots: slots}); err != nil {
				b.Fatal(err)
			}
			fill := make([]policies.Event, slots)
			inserts := make([]policies.Insert, slots)
			for i := range fill {
				fill[i], inserts[i] = policies.Event{Slot: policies.Slot(i), Op: policies.OpRestore}, policies.Insert{Weight: 1}
			}
			if err := o.Observe(fill, inserts); err != nil {
				b.Fatal(err)
			}
			b.Run("hits/"+size(n)+"/"+name, func(b *testing.B) {
				events := make([]policies.Event, n)
				x := uint32(1)
				b.ReportAllocs()
				for b.Loop() {
					for i := range events {
						x = x*1664525 + 1013904223
						events[i] = policies.Event{Slot: policies.Slot((x >> 16) * (x & 0xFFFF) >> 16), Op: policies.OpHit}
					}
					if err := o.Observe(events, nil); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/event")
			})
			b.Run("victims/"+size(n)+"/"+name, func(b *testing.B) {
				out := make([]policies.Slot, n)
				b.ReportAllocs()
				for b.Loop() {
					k, err := o.Victims(int64(n), out)
					if err != nil || k != n {
						b.Fatal(k, err)
					}
					for i, s := range out {
						fill[i] = policies.Event{Slot: s, Op: policies.OpInsert}
					}
					if err := o.Observe(fill[:n], inserts[:n]); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/victim")
			})
		}
	}
}

func size(n int) string {
	if n == 1 {
		return "one"
	}
	return map[int]string{17: "17", 64: "64", 1024: "1024"}[n]
}
