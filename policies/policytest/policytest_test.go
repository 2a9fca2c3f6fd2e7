package policytest_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/eviction"
	"github.com/perfopt/perfopt/policies/features"
	"github.com/perfopt/perfopt/policies/policytest"
)

// broken is LRU with one thing wrong.
type broken struct {
	policies.Orderer
	how   string
	asked int
	calls *int // shared by all instances
}

func (b *broken) Reset(c policies.Capacity) error {
	if b.how == "keeps its entries over a reset" && b.asked > 0 {
		return nil
	}
	return b.Orderer.Reset(c)
}

func (b *broken) Observe(events []policies.Event, inserts []policies.Insert) error {
	if b.how == "does not see removals" {
		events = append([]policies.Event(nil), events...)
		for i := range events {
			if events[i].Op == policies.OpRemove {
				events[i].Op = policies.OpHit
			}
		}
	}
	return b.Orderer.Observe(events, inserts)
}

func (b *broken) Victims(need int64, out []policies.Slot) (int, error) {
	b.asked++
	*b.calls++
	switch {
	case b.how == "names nobody":
		return 0, nil
	case b.how == "names too many":
		return len(out) + 1, nil
	case b.how == "answers as it likes" && *b.calls == 700:
		need += 3
	case b.how == "does not know the restored" && b.asked == 1:
		n, err := b.Orderer.Victims(1<<40, out)
		return min(n, 1), err
	}
	n, err := b.Orderer.Victims(need, out)
	if b.how == "names one twice" && n > 1 {
		out[1] = out[0]
	}
	return n, err
}

func (b *broken) Info() policies.Info {
	info := b.Orderer.Info()
	if b.how == "is of another kind" {
		info.Kind = policies.KindTTL
	}
	return info
}

type ttl struct{ how string }

func (ttl) Info() policies.Info { return policies.Info{Name: "ttl", Kind: policies.KindTTL} }
func (p ttl) TTL(_ *policies.TTLBatch, out []policies.Nanos) error {
	if p.how == "negative lifetimes" && len(out) > 30 {
		out[30] = -1
	}
	return nil
}

type prefetch struct{ how string }

func (prefetch) Info() policies.Info {
	return policies.Info{Name: "prefetch", Kind: policies.KindPrefetch}
}
func (prefetch) Observe([]policies.Event, []policies.Insert) error { return nil }
func (p prefetch) Propose(_ *policies.Candidates, budget int, out []policies.KeyHash) (int, error) {
	if p.how == "invents keys" && budget > 0 {
		out[0] = 1 << 40
		return 1, nil
	}
	return 0, nil
}

type scaling struct{ how string }

func (scaling) Info() policies.Info {
	return policies.Info{Name: "scaling", Kind: policies.KindScaling}
}
func (p scaling) Limit(in *policies.Load) (float64, policies.Reason, error) {
	if p.how == "no number without completions" {
		return in.Limit * in.MeanMillis / in.MeanMillis, policies.ReasonHold, nil
	}
	return in.Limit, policies.ReasonHold, nil
}

// howEnv tells the test binary, run again, what is broken.
const howEnv = "POLICYTEST_BROKEN"

// TestBroken runs the suites over policies that are broken as the environment
// says; with nothing broken it passes.
func TestBroken(t *testing.T) {
	how := os.Getenv(howEnv)
	calls := 0
	policytest.Eviction(t, func(*features.Table) (policies.Orderer, error) {
		return &broken{Orderer: eviction.NewLRU(), how: how, calls: &calls}, nil
	})
	policytest.TTL(t, func() (policies.TTL, error) { return ttl{how}, nil })
	policytest.Prefetch(t, func() (policies.Prefetch, error) { return prefetch{how}, nil })
	policytest.Scaling(t, func() (policies.Scaling, error) { return scaling{how}, nil })
}

func TestTheSuiteFindsWhatIsBroken(t *testing.T) {
	for how, want := range map[string]string{
		"keeps its entries over a reset": "not resident or named twice",
		"does not see removals":          "not resident or named twice",
		"names nobody":                   "no victim named",
		"names too many":                 "victims, <nil>, where at most",
		"answers as it likes":            "different victims",
		"names one twice":                "not resident or named twice",
		"does not know the restored":     "restored residents were named",
		"is of another kind":             `kind "ttl", want "eviction"`,
		"negative lifetimes":             "is negative",
		"invents keys":                   "never shown",
		"no number without completions":  "limit NaN",
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			run := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBroken$")
			run.Env = append(os.Environ(), howEnv+"="+how)
			out, err := run.CombinedOutput()
			if err == nil || !strings.Contains(string(out), want) {
				t.Errorf("the suite ended with %v and does not say %q:\n%s", err, want, out)
			}
		})
	}
}
