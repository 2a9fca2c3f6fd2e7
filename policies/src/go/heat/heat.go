// Command heat is a TTL policy: what is asked for often and has not been seen
// to change stays fresh longer than its base, up to a stretch; what changed at
// every reload gets a shorter life.
//
// It never answers more than the origin's explicit freshness.
package main

import "github.com/perfopt/perfopt/sdk/go/policy"

func init() {
	policy.Serve(policy.Manifest{
		Name:    "heat-go",
		Version: "1.0.0",
		Columns: []policy.Column{
			policy.BaseTTL, policy.OriginTTL, policy.MinTTL, policy.MaxTTL,
			policy.RateSlow, policy.Changed, policy.Unchanged,
		},
		Config: policy.Schema{
			"stretch":  policy.Number(4, "how many times its base a hot key's TTL may become").Between(1, 100),
			"hot_rate": policy.Number(10, "accesses per minute at which half of the stretch is used").Between(0.001, 1e6),
		},
	}, &heat{})
}

func main() {}

type heat struct{ stretch, hotRate float64 }

var _ policy.TTL = (*heat)(nil)

func (p *heat) Init(c *policy.Config) error {
	p.stretch, p.hotRate = c.Number("stretch"), c.Number("hot_rate")
	return nil
}

func (p *heat) TTL(b *policy.Batch, out []float64) error {
	base, origin := b.F64(policy.BaseTTL), b.F64(policy.OriginTTL)
	least, most := b.F64(policy.MinTTL), b.F64(policy.MaxTTL)
	rate, changed, unchanged := b.F64(policy.RateSlow), b.F64(policy.Changed), b.F64(policy.Unchanged)
	for i := range out {
		heat := rate[i] / (rate[i] + p.hotRate)                        // 0 cold .. 1 hot
		steady := (unchanged[i] + 1) / (changed[i] + unchanged[i] + 2) // 0 changes always .. 1 never
		ttl := base[i] * (1 + (p.stretch-1)*heat) * min(1, 2*steady)
		ttl = max(least[i], min(ttl, most[i]))
		if origin[i] >= 0 { // it said one; nothing raises that
			ttl = min(ttl, origin[i])
		}
		out[i] = ttl
	}
	return nil
}
