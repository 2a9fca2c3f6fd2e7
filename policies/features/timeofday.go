package features

import (
	"math"
	"sync/atomic"

	"github.com/perfopt/perfopt/policies"
)

const (
	hourNanos   = 3600e9
	hoursPerDay = 24

	// unknownHour is the pattern until a day was seen.
	unknownHour = 0.5
	// dayWeight is the weight of the latest day in the learnt rate of an hour.
	dayWeight = 0.5
)

// hours learns the request rate of each hour of the day (UTC). Maintenance
// observes, anyone reads.
type hours struct {
	// rate is the learnt number of requests in each hour, as float64 bits, and
	// busiest the highest. Written when an hour ends.
	rate    [hoursPerDay]atomic.Uint64
	busiest atomic.Uint64
	known   atomic.Bool // a whole day was seen

	// The fields below belong to maintenance.
	started bool
	first   policies.Nanos // when the first batch came
	hour    int64          // the hour that is being counted
	from    policies.Nanos // since when
	count   float64
}

func (h *hours) observe(now policies.Nanos, accesses int) {
	hour := int64(now / hourNanos)
	if !h.started {
		h.started, h.first, h.hour, h.from = true, now, hour, now
	}
	if hour > h.hour {
		h.finish(hour)
	}
	h.count += float64(accesses)
	if !h.known.Load() && now-h.first >= hoursPerDay*hourNanos {
		h.known.Store(true)
	}
}

// finish ends the hour that is being counted, and the empty ones after it.
func (h *hours) finish(next int64) {
	covered := float64(policies.Nanos(h.hour+1)*hourNanos-h.from) / hourNanos
	h.learn(h.hour, h.count/max(covered, 1.0/60))
	for empty := max(h.hour+1, next-hoursPerDay); empty < next; empty++ {
		h.learn(empty, 0)
	}
	h.hour, h.from, h.count = next, policies.Nanos(next)*hourNanos, 0
	most := 0.0
	for i := range h.rate {
		most = max(most, math.Float64frombits(h.rate[i].Load()))
	}
	h.busiest.Store(math.Float64bits(most))
}

func (h *hours) learn(hour int64, rate float64) {
	cell := &h.rate[hour%hoursPerDay]
	if h.known.Load() {
		rate = dayWeight*rate + (1-dayWeight)*math.Float64frombits(cell.Load())
	}
	cell.Store(math.Float64bits(rate))
}

func (h *hours) pattern(now policies.Nanos) float64 {
	if !h.known.Load() {
		return unknownHour
	}
	busiest := math.Float64frombits(h.busiest.Load())
	if busiest == 0 {
		return unknownHour
	}
	hour := int64(now/hourNanos) % hoursPerDay
	return min(math.Float64frombits(h.rate[hour].Load())/busiest, 1)
}
