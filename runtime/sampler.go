package perfopt

import (
	"sync"
	"time"
)

const (
	// sampleEvery is the width of a window of [Stats].Series.
	sampleEvery = time.Second
	// maxPoints bounds the series: five minutes.
	maxPoints = 300
	// recentPoints is "the last minute".
	recentPoints = 60
)

// Point is one window of one second.
type Point struct {
	At                time.Time `json:"at"`
	RequestsPerSecond float64   `json:"requests_per_second"` // of all caches
	HitRatio          float64   `json:"hit_ratio"`
	OriginPerSecond   float64   `json:"origin_per_second"`
	MeanMillis        float64   `json:"mean_ms"` // latency of clients' requests, last minute
	P50Millis         float64   `json:"p50_ms"`
	P95Millis         float64   `json:"p95_ms"`
	P99Millis         float64   `json:"p99_ms"`
	ErrorRate         float64   `json:"error_rate"`
	Limit             float64   `json:"limit"`
	InFlight          float64   `json:"in_flight"`
	Queued            float64   `json:"queued"`
	CPU               float64   `json:"cpu"`
	Memory            float64   `json:"memory"`
}

// sampler takes a point a second, so that rates and trends are over windows of
// equal width.
type sampler struct {
	rt   *Runtime
	end  chan struct{}
	done chan struct{}
	once sync.Once

	mu sync.Mutex
	// guards the fields below
	series []Point
	counts map[string][]count // per cache, of the points of the last minute and the one before
	last   totals
}

// count is a cache's hits and misses since its start.
type count struct{ hits, misses uint64 }

// totals are counters since the start, of which a point shows the growth.
type totals struct {
	hits, misses, origin, requests uint64
}

func newSampler(rt *Runtime) *sampler {
	s := &sampler{rt: rt, end: make(chan struct{}), done: make(chan struct{}), counts: map[string][]count{}}
	go s.run()
	return s
}

func (s *sampler) run() {
	defer close(s.done)
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.end:
			return
		case now := <-tick.C:
			s.sample(now)
			if s.rt.events.watched() {
				s.rt.events.publish("stats", s.rt.Stats())
			}
		}
	}
}

func (s *sampler) stop() {
	s.once.Do(func() { close(s.end) })
	<-s.done
}

func (s *sampler) sample(now time.Time) {
	var t totals
	caches := map[string]count{}
	for _, c := range s.rt.cacheList() {
		l1 := c.Stats().L1
		caches[c.name] = count{l1.Hits, l1.Misses}
		t.hits += l1.Hits
		t.misses += l1.Misses
	}
	sched := s.rt.scheduler.Stats()
	p := Point{
		At: now.UTC(), Limit: sched.Limit, InFlight: float64(sched.InFlight), CPU: sched.CPU, Memory: sched.Memory,
		Queued: float64(sched.Queued.Critical + sched.Queued.High + sched.Queued.Normal + sched.Queued.Low + sched.Queued.Background),
	}
	if s.rt.front != nil {
		front := s.rt.front.proxy.Stats()
		t.origin, t.requests = front.OriginRequests, front.Requests
		p.MeanMillis, p.P50Millis, p.P95Millis, p.P99Millis = front.Latency.Mean, front.Latency.P50, front.Latency.P95, front.Latency.P99
		p.ErrorRate = front.ErrorRate
	} else {
		p.MeanMillis, p.P50Millis, p.P95Millis, p.P99Millis = sched.Latency.Mean, sched.Latency.P50, sched.Latency.P95, sched.Latency.P99
		p.ErrorRate = sched.ErrorRate
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	hits, misses := float64(t.hits-s.last.hits), float64(t.misses-s.last.misses)
	p.RequestsPerSecond = hits + misses
	if s.rt.front != nil {
		p.RequestsPerSecond = float64(t.requests - s.last.requests)
	}
	p.OriginPerSecond = float64(t.origin - s.last.origin)
	if hits+misses > 0 {
		p.HitRatio = hits / (hits + misses)
	}
	s.last = t
	if s.series = append(s.series, p); len(s.series) > maxPoints {
		s.series = s.series[1:]
	}
	for name, c := range caches {
		if s.counts[name] == nil {
			s.counts[name] = []count{{}} // a cache begins with nothing
		}
		if s.counts[name] = append(s.counts[name], c); len(s.counts[name]) > recentPoints+1 {
			s.counts[name] = s.counts[name][1:]
		}
	}
}

// points returns the series, oldest first.
func (s *sampler) points() []Point {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Point{}, s.series...)
}

// recent returns a cache's hit ratio and requests per second of the last
// minute.
func (s *sampler) recent(cache string) (hitRatio, perSecond float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := s.counts[cache]
	if len(counts) < 2 {
		return 0, 0
	}
	first, last := counts[0], counts[len(counts)-1]
	hits, misses := float64(last.hits-first.hits), float64(last.misses-first.misses)
	if hits+misses > 0 {
		hitRatio = hits / (hits + misses)
	}
	return hitRatio, (hits + misses) / (float64(len(counts)-1) * sampleEvery.Seconds())
}
