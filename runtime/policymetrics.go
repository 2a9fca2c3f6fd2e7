package perfopt

import (
	"cmp"
	"slices"
	"sync"
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

// policyMetrics keeps the last value of each number that modules report. Safe
// for concurrent use.
type policyMetrics struct {
	mu sync.Mutex
	// guards the field below; by seat, which holds one policy at a time
	seats map[string]*seatMetrics
}

type seatMetrics struct {
	policy string
	values map[string]float64
}

func newPolicyMetrics() *policyMetrics { return &policyMetrics{seats: map[string]*seatMetrics{}} }

// sink returns where a policy in a seat reports. The numbers of the seat's
// former policy are forgotten with its first report.
func (m *policyMetrics) sink(seat, policy string) func(name string, v float64) {
	return func(name string, v float64) {
		m.mu.Lock()
		defer m.mu.Unlock()
		s := m.seats[seat]
		if s == nil || s.policy != policy {
			s = &seatMetrics{policy: policy, values: map[string]float64{}}
			m.seats[seat] = s
		}
		if _, known := s.values[name]; known || len(s.values) < maxPolicyMetrics {
			s.values[name] = v
		}
	}
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
