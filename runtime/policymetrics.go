package perfopt

import (
	"cmp"
	"slices"
	"sync"

	"github.com/perfopt/perfopt/hostabi/ref"
)

// maxPolicyMetrics bounds the metrics of one policy, as the ABI does.
const maxPolicyMetrics = 32

// PolicyMetric is a number that a module reports about itself.
type PolicyMetric struct {
	Seat   string  `json:"seat"`
	Policy string  `json:"policy"`
	Name   string  `json:"name"`
	Value  float64 `json:"value"`
}

// policyMetrics keeps the numbers that modules report: the last value of a
// gauge, the sum of a counter. Safe for concurrent use.
type policyMetrics struct {
	mu sync.Mutex
	// guards the field below; by seat, which holds one policy at a time
	seats map[string]*seatMetrics
}

type seatMetrics struct {
	loaded *ref.Loaded // whose numbers they are
	policy string
	values map[string]float64
}

func newPolicyMetrics() *policyMetrics { return &policyMetrics{seats: map[string]*seatMetrics{}} }

// sink returns where the instances of a policy in a seat report. Counters
// report what they grow by, and go on over a change of instance.
func (m *policyMetrics) sink(seat string, loaded *ref.Loaded) func(name string, v float64) {
	counters := map[string]bool{}
	if manifest, ok := loaded.Manifest(); ok {
		for _, x := range manifest.Metrics {
			counters[x.Name] = x.Type == "counter"
		}
	}
	return func(name string, v float64) {
		m.mu.Lock()
		defer m.mu.Unlock()
		s := m.of(seat, loaded)
		former, known := s.values[name]
		if !known && len(s.values) >= maxPolicyMetrics {
			return
		}
		if counters[name] {
			v += former
		}
		s.values[name] = v
	}
}

// seated forgets what the seat's former policy reported.
func (m *policyMetrics) seated(seat string, loaded *ref.Loaded) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of(seat, loaded)
}

// of returns the numbers of a seat's policy; mu is held.
func (m *policyMetrics) of(seat string, loaded *ref.Loaded) *seatMetrics {
	s := m.seats[seat]
	if s == nil || s.loaded != loaded {
		s = &seatMetrics{loaded: loaded, policy: loaded.Info().Name, values: map[string]float64{}}
		m.seats[seat] = s
	}
	return s
}

// list returns all numbers, sorted.
func (m *policyMetrics) list() []PolicyMetric {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []PolicyMetric
	for seat, s := range m.seats {
		for name, v := range s.values {
			all = append(all, PolicyMetric{seat, s.policy, name, v})
		}
	}
	slices.SortFunc(all, func(a, b PolicyMetric) int {
		return cmp.Or(cmp.Compare(a.Seat, b.Seat), cmp.Compare(a.Name, b.Name))
	})
	return all
}
