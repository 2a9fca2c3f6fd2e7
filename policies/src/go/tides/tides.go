// Command tides is a scaling policy: the limit grows by one while there is work
// for it and nothing is short, and falls by a share as soon as latency, errors,
// CPU or memory are over their marks (additive increase, multiplicative
// decrease: Chiu and Jain, 1989).
//
// With target latency "auto" and no baseline yet, latency is not judged.
package main

import "github.com/perfopt/perfopt/sdk/go/policy"

func init() {
	policy.Serve(policy.Manifest{
		Name:    "tides-go",
		Version: "1.0.0",
		Config: policy.Schema{
			"step": policy.Number(1, "work added to the limit in a good tick").Between(0.01, 1000),
			"cut":  policy.Number(0.9, "what is left of the limit after a bad tick").Between(0.5, 0.99),
			"cpu":  policy.Number(0.9, "share of the CPU above which the limit is cut").Between(0.05, 1),
		},
	}, &tides{})
}

func main() {}

type tides struct{ step, cut, cpu float64 }

var _ policy.Scaling = (*tides)(nil)

func (p *tides) Init(c *policy.Config) error {
	p.step, p.cut, p.cpu = c.Number("step"), c.Number("cut"), c.Number("cpu")
	return nil
}

func (p *tides) Limit(in *policy.Load) (float64, policy.Reason, error) {
	switch {
	case in.CPU > p.cpu:
		return p.lower(in), policy.ReasonCPU, nil
	case in.Memory > 0.9:
		return p.lower(in), policy.ReasonMemory, nil
	case in.Completions < 10:
		return in.Limit, policy.ReasonWindow, nil
	case in.ErrorRate > 0.1:
		return p.lower(in), policy.ReasonErrors, nil
	case in.MeanMillis > 2*in.TargetMillis:
		return p.lower(in), policy.ReasonLatency, nil
	case in.MaxInFlight < in.Limit:
		return in.Limit, policy.ReasonUnused, nil
	}
	return min(in.Limit+p.step, in.MaxLimit), policy.ReasonGrow, nil
}

func (p *tides) lower(in *policy.Load) float64 {
	return max(in.Limit*p.cut, in.MinLimit)
}
