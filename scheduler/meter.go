package scheduler

import (
	"math/rand/v2"
	"runtime"
	"sync/atomic"
)

// meter counts what happens to work. Counters that every task touches are
// spread over shards, each on cache lines of its own; a reading adds them up.
// A reading taken while work ends may miss a part of it, which is in the next.
type meter struct {
	shards   []meterShard
	mask     uint32
	rejected [numRejectReasons]atomic.Int64
	left     atomic.Int64 // callers that cancelled while they waited
	waited   histogram    // queue times of admitted work that had to wait
	waitSum  atomic.Int64 // their sum, nanoseconds
}

type meterShard struct {
	done    [numOutcomes]atomic.Int64 // ended work by outcome
	timed   atomic.Int64              // latencies of work that ended OK or Late, nanoseconds
	held    atomic.Int64              // time that permits of all outcomes were held, nanoseconds
	latency histogram                 // latencies of work that ended OK or Late
	_       [64]byte
}

// maxShards bounds the shards: beyond it their memory costs more than the
// contention they save.
const maxShards = 8

func newMeter() *meter {
	n := 1
	for n < runtime.GOMAXPROCS(0) && n < maxShards {
		n *= 2
	}
	return &meter{shards: make([]meterShard, n), mask: uint32(n - 1)}
}

// completed counts work that held its permit for that many nanoseconds. It is
// on the path of every task and allocates nothing.
func (m *meter) completed(o Outcome, nanos int64) {
	s := &m.shards[rand.Uint32()&m.mask]
	s.done[min(o, Ignored)].Add(1)
	s.held.Add(nanos)
	if o <= Late {
		s.timed.Add(nanos)
		s.latency.record(nanos)
	}
}

// admitted counts the queue time of work that had to wait for its permit.
func (m *meter) admitted(waited int64) {
	m.waited.record(waited)
	m.waitSum.Add(waited)
}

// reading is the state of the counters at a moment, all since the start.
type reading struct {
	now      int64 // nanoseconds since the scheduler's base
	done     [numOutcomes]int64
	timed    int64
	held     int64
	left     int64
	waited   int64 // time that admitted work spent in the queue, nanoseconds
	rejected [numRejectReasons]int64
	waiting  int64 // present waiters and work in flight: what has arrived and not ended
}

// completions is the work that says something about the backend.
func (r *reading) completions() int64 { return r.latencies() + r.done[Failed] }

// latencies is the number of latencies in timed.
func (r *reading) latencies() int64 { return r.done[OK] + r.done[Late] }

// ended is all work that gave its permit back.
func (r *reading) ended() int64 { return r.completions() + r.done[Ignored] }

func (r *reading) rejections() (n int64) {
	for _, v := range r.rejected {
		n += v
	}
	return n
}

// arrivals is all work that asked for admission: what has ended in some way
// and what has not.
func (r *reading) arrivals() int64 { return r.ended() + r.rejections() + r.left + r.waiting }

func (m *meter) read(now int64) (r reading) {
	r.now = now
	for i := range m.shards {
		s := &m.shards[i]
		for o := range s.done {
			r.done[o] += s.done[o].Load()
		}
		r.timed += s.timed.Load()
		r.held += s.held.Load()
	}
	r.left = m.left.Load()
	r.waited = m.waitSum.Load()
	for i := range m.rejected {
		r.rejected[i] = m.rejected[i].Load()
	}
	return r
}

// latencies writes the counts of latencies.
func (m *meter) latencies(c *counts) {
	*c = counts{}
	for i := range m.shards {
		m.shards[i].latency.addTo(c)
	}
}

// queueTimes writes the counts of queue times of work that had to wait.
func (m *meter) queueTimes(c *counts) {
	*c = counts{}
	m.waited.addTo(c)
}
