package scaling

import (
	"math"

	"github.com/perfopt/perfopt/policies"
)

// The numbers of Netflix's Gradient2.
const (
	gradientTolerance = 1.5
	gradientQueue     = 4
	gradientSmoothing = 0.2
	gradientWindow    = 600 // windows that the long latency averages
	gradientJudged    = 10  // completions below which a window is not judged
)

// Gradient2 is the limiter of that name in Netflix/concurrency-limits: the
// limit moves with 1.5 times the long-term latency over the present one,
// within 0.5..1, plus a queue of 4, smoothed by 0.2; it holds where less than
// half of the limit is in use. The known fault of the original stays: under
// lasting overload the long-term latency, and the limit with it, drift up.
// Not safe for concurrent use.
type Gradient2 struct {
	long float64 // moving mean of the latency in milliseconds; 0 = none yet
	seen float64 // windows judged
}

var _ policies.Scaling = (*Gradient2)(nil)

// NewGradient2 returns a Gradient2.
func NewGradient2() *Gradient2 { return &Gradient2{} }

// Info implements [policies.Scaling].
func (g *Gradient2) Info() policies.Info {
	return policies.Info{Name: "gradient2", Version: "1", Kind: policies.KindScaling}
}

// Limit implements [policies.Scaling]. It never returns an error.
func (g *Gradient2) Limit(in *policies.Load) (float64, policies.Reason, error) {
	short := in.MeanMillis
	if in.Completions < gradientJudged || !(short > 0) || math.IsInf(short, 0) {
		return in.Limit, policies.ReasonWindow, nil
	}
	g.seen = min(g.seen+1, gradientWindow)
	g.long += (short - g.long) / g.seen
	if g.long > 2*short {
		g.long *= 0.95 // recovered from a slow time
	}
	if in.MaxInFlight < in.Limit/2 {
		return in.Limit, policies.ReasonUnused, nil
	}
	gradient := min(max(gradientTolerance*g.long/short, 0.5), 1)
	next := in.Limit*gradient + gradientQueue
	limit := in.Limit*(1-gradientSmoothing) + next*gradientSmoothing
	return min(max(limit, in.MinLimit), in.MaxLimit), policies.ReasonGradient, nil
}
