// Command worth is an eviction policy in the scoring form: an entry is worth
// what it saves, accesses per minute times the time that a load takes, per byte
// that it holds. What is worth least goes first.
//
// Where the host does not know what loading cost, every load costs the same.
package main

import "github.com/perfopt/perfopt/sdk/go/policy"

func init() {
	policy.Serve(policy.Manifest{
		Name:    "worth-go",
		Version: "1.0.0",
		Columns: []policy.Column{policy.Freq, policy.Recency, policy.LoadCost, policy.Size},
		Config: policy.Schema{
			"half_life_s": policy.Number(600, "seconds without an access after which an entry is worth half").Between(1, 1e6),
		},
	}, &worth{})
}

func main() {}

type worth struct{ halfLife float64 }

var _ policy.Scorer = (*worth)(nil)

func (p *worth) Init(c *policy.Config) error {
	p.halfLife = c.Number("half_life_s")
	return nil
}

func (p *worth) Score(b *policy.Batch, out []float64) error {
	freq, idle, cost, size := b.F64(policy.Freq), b.F64(policy.Recency), b.F64(policy.LoadCost), b.F64(policy.Size)
	for i := range out {
		worth := freq[i] / (1 + idle[i]/p.halfLife)
		if cost[i] > 0 {
			worth *= cost[i]
		}
		out[i] = worth / max(size[i], 1)
	}
	return nil
}
