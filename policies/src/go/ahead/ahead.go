// Command ahead is a prefetch policy: entries that are about to expire and will
// probably be asked for again are loaded before that, those with the dearest
// expected wait first.
//
// It proposes residents only, and learns nothing from the stream of accesses.
package main

import "github.com/perfopt/perfopt/sdk/go/policy"

func init() {
	policy.Serve(policy.Manifest{
		Name:    "ahead-go",
		Version: "1.0.0",
		Columns: []policy.Column{policy.Resident, policy.TTLLeft, policy.Prediction, policy.LoadCost},
		Config: policy.Schema{
			"lead_s":      policy.Number(5, "seconds before its expiry from which on an entry may be loaded").Between(0.1, 3600),
			"probability": policy.Number(0.6, "least probability of being asked for again").Between(0, 1),
		},
	}, &ahead{})
}

func main() {}

type ahead struct {
	lead, probability float64
	gain              []float64 // of each key in out, in its order
}

var _ policy.Prefetch = (*ahead)(nil)

func (p *ahead) Init(c *policy.Config) error {
	p.lead, p.probability = c.Number("lead_s"), c.Number("probability")
	p.gain = make([]float64, 0, 1024)
	return nil
}

func (p *ahead) Observe(*policy.Events) error { return nil }

// Propose keeps the best len(out) rows sorted as it goes: the budget is small.
func (p *ahead) Propose(b *policy.Batch, out []policy.KeyHash) (int, error) {
	resident, left := b.F64(policy.Resident), b.F64(policy.TTLLeft)
	likely, cost := b.F64(policy.Prediction), b.F64(policy.LoadCost)
	p.gain = p.gain[:0]
	for i, key := range b.Keys() {
		if resident[i] == 0 || left[i] < 0 || left[i] > p.lead || likely[i] < p.probability {
			continue
		}
		p.insert(out, key, likely[i]*max(cost[i], 1))
	}
	return len(p.gain), nil
}

// insert puts a key at its place among the best; gain has one number for each
// key of out that is taken.
func (p *ahead) insert(out []policy.KeyHash, key policy.KeyHash, gain float64) {
	n := len(p.gain)
	switch {
	case n < len(out) && n < cap(p.gain):
		p.gain = p.gain[:n+1]
	case n == 0 || gain <= p.gain[n-1]:
		return
	default:
		n--
	}
	for ; n > 0 && p.gain[n-1] < gain; n-- {
		p.gain[n], out[n] = p.gain[n-1], out[n-1]
	}
	p.gain[n], out[n] = gain, key
}
