package scheduler

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/scheduler/resource"
)

// backend is a service in virtual time: servers that take work in the order of
// arrival, each for a random time, slower when many are inside. It works on
// for callers that left: what makes overload metastable.
type backend struct {
	mu     sync.Mutex // guards the fields below
	free   []time.Time
	inside int
	slow   float64 // factor of the service time
	random *rand.Rand
	// service draws a service time without crowding, in milliseconds.
	service func(*rand.Rand) float64
}

var errRefused = errors.New("backend refuses: too many inside")

func newBackend(servers int) *backend {
	return &backend{free: make([]time.Time, servers), slow: 1, random: rand.New(rand.NewPCG(1, 2)), service: lognormal}
}

// lognormal has a mean of 10 ms.
func lognormal(r *rand.Rand) float64 {
	const sigma = 0.6
	return 10 * math.Exp(sigma*r.NormFloat64()-sigma*sigma/2)
}

// bimodal has a mean of 10 ms: one task in twenty takes 105.
func bimodal(r *rand.Rand) float64 {
	if r.IntN(20) == 0 {
		return 105
	}
	return 5
}

// resize changes the number of servers; what they had begun is done elsewhere.
func (b *backend) resize(servers int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.free) < servers {
		b.free = append(b.free, time.Now())
	}
	b.free = b.free[:servers]
}

func (b *backend) setSlow(factor float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.slow = factor
}

// serve ends when the work is done or the caller leaves.
func (b *backend) serve(ctx context.Context) error {
	b.mu.Lock()
	if b.inside >= 125*len(b.free) {
		b.mu.Unlock()
		return errRefused
	}
	now := time.Now()
	next := 0
	for i, free := range b.free {
		if free.Before(b.free[next]) {
			next = i
		}
	}
	crowd := max(1, 1+0.5*(float64(b.inside)/float64(2*len(b.free))-1))
	millis := b.slow * crowd * b.service(b.random)
	done := b.free[next]
	if done.Before(now) {
		done = now
	}
	done = done.Add(time.Duration(millis * float64(time.Millisecond)))
	b.free[next] = done
	b.inside++
	b.mu.Unlock()
	time.AfterFunc(done.Sub(now), func() {
		b.mu.Lock()
		b.inside--
		b.mu.Unlock()
	})
	timer := time.NewTimer(done.Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tally counts what the callers of one priority got, in slices of 100 ms.
type tally struct {
	asked, good map[int64]int
}

// crowd sends open-loop Poisson arrivals and counts the answers in time.
type crowd struct {
	mu     sync.Mutex // guards the field below
	counts [policies.NumPriorities]tally

	wait     sync.WaitGroup
	start    time.Time
	patience time.Duration // how long callers wait for an answer
}

func newCrowd() *crowd {
	c := &crowd{start: time.Now(), patience: 100 * time.Millisecond}
	for p := range c.counts {
		c.counts[p] = tally{asked: map[int64]int{}, good: map[int64]int{}}
	}
	return c
}

// share of the arrivals by priority, the background has none.
var arrivalShares = []float64{0.1, 0.2, 0.3, 0.4}

func (c *crowd) send(s *Scheduler, b *backend, rate float64, span time.Duration) {
	random := rand.New(rand.NewPCG(3, 4))
	end := time.Now().Add(span)
	next := time.Now()
	for {
		next = next.Add(time.Duration(random.ExpFloat64() / rate * float64(time.Second)))
		if next.After(end) {
			<-time.After(time.Until(end))
			return
		}
		<-time.After(time.Until(next))
		p, u := 0, random.Float64()
		for u > arrivalShares[p] && p < len(arrivalShares)-1 {
			u -= arrivalShares[p]
			p++
		}
		c.wait.Go(func() { c.one(s, b, Priority(p)) })
	}
}

func (c *crowd) one(s *Scheduler, b *backend, p Priority) {
	at := int64(time.Since(c.start) / (100 * time.Millisecond))
	ctx, cancel := context.WithTimeout(context.Background(), c.patience)
	defer cancel()
	_, err := Do(ctx, s, p, func(ctx context.Context) (struct{}, error) { return struct{}{}, b.serve(ctx) })
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[p].asked[at]++
	if err == nil {
		c.counts[p].good[at]++
	}
}

// good is the answers in time between two moments, of all priorities.
func (c *crowd) good(from, to time.Duration) (n float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p := range c.counts {
		for at, good := range c.counts[p].good {
			if t := time.Duration(at) * 100 * time.Millisecond; t >= from && t < to {
				n += float64(good)
			}
		}
	}
	return n
}

// lost is the share of a priority's arrivals that got no answer in time in
// slices in which a less important one did.
func (c *crowd) lost(p Priority) float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	asked, lost := 0, 0
	for at, n := range c.counts[p].asked {
		asked += n
		for lower := int(p) + 1; lower < len(c.counts); lower++ {
			if c.counts[lower].good[at] > 0 {
				lost += n - c.counts[p].good[at]
				break
			}
		}
	}
	return float64(lost) / float64(asked)
}

// idle is a machine at rest.
func idle() resource.Sample { return resource.Sample{CPURatio: 0.1, MemoryRatio: 0.1, Source: "test"} }

func newTest(t *testing.T, o Options) *Scheduler {
	t.Helper()
	if o.Resources == nil {
		o.Resources = idle
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}
