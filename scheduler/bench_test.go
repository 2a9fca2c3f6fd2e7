package scheduler

import (
	"context"
	"testing"
	"time"
)

func benchScheduler(b *testing.B, limit float64) *Scheduler {
	b.Helper()
	s, err := New(Options{InitialLimit: limit, MinLimit: 1, MaxLimit: 1e6, Fixed: true, QueueLength: 1e6, Resources: idle, MaxWait: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.Close)
	return s
}

func BenchmarkAcquireRelease(b *testing.B) {
	s := benchScheduler(b, 1e6)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		permit, err := s.Acquire(ctx, Normal)
		if err != nil {
			b.Fatal(err)
		}
		permit.Release(OK)
	}
}

// The gate alone: without the clock and the meter.
func BenchmarkGate(b *testing.B) {
	g := newGate(1e6, 0, false)
	b.ReportAllocs()
	for b.Loop() {
		if !g.tryAcquire() {
			b.Fatal("no permit")
		}
		g.release(0)
	}
}

func benchParallel(b *testing.B, limit float64) {
	s := benchScheduler(b, limit)
	b.ReportAllocs()
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		ctx := context.Background()
		for pb.Next() {
			permit, err := s.Acquire(ctx, Normal)
			if err != nil {
				b.Error(err)
				return
			}
			permit.Release(OK)
		}
	})
}

// Many goroutines, the limit is never reached.
func BenchmarkAcquireReleaseParallel(b *testing.B) { benchParallel(b, 1e6) }

// Many goroutines, most of them wait.
func BenchmarkAcquireReleaseContended(b *testing.B) { benchParallel(b, 8) }

// The yardstick of the contended case.
func BenchmarkChannelContended(b *testing.B) {
	permits := make(chan struct{}, 8)
	b.ReportAllocs()
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			permits <- struct{}{}
			<-permits
		}
	})
}

func BenchmarkStats(b *testing.B) {
	s := benchScheduler(b, 10)
	for b.Loop() {
		s.Stats()
	}
}

func BenchmarkTick(b *testing.B) {
	s := benchScheduler(b, 10)
	s.Close() // its controller is ours now
	b.ReportAllocs()
	for b.Loop() {
		s.step()
	}
}
