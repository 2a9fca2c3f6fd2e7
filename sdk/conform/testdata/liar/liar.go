// Command liar is a policy of every kind that misbehaves as its setting says,
// for the tests of the conformance kit.
package main

import (
	"errors"
	"math"

	"github.com/perfopt/perfopt/sdk/go/policy"
)

func init() {
	policy.Serve(policy.Manifest{
		Name:    "liar",
		Columns: []policy.Column{policy.BaseTTL},
		Config: policy.Schema{
			"lie":   policy.String("none", "what to do wrong").OneOf("none", "nan", "negative", "loop", "panic", "error", "invent", "again", "absent"),
			"after": policy.Integer(0, "calls that are answered well before"),
		},
	}, &liar{})
}

func main() {}

type liar struct {
	lie          string
	calls, after int64
	resident     []bool
	hand         int
	last         policy.Slot
}

func (l *liar) Init(c *policy.Config) error {
	*l = liar{lie: c.String("lie"), after: c.Integer("after")}
	return nil
}

// misbehave says whether it is time to, and does what does not depend on the
// kind.
func (l *liar) misbehave() (bool, error) {
	l.calls++
	if l.calls <= l.after {
		return false, nil
	}
	switch l.lie {
	case "loop":
		for i := 0; ; i++ {
			l.last = policy.Slot(i)
		}
	case "panic":
		panic("as the setting says")
	case "error":
		return false, errors.New("as the setting says")
	}
	return l.lie != "none", nil
}

func (l *liar) TTL(b *policy.Batch, out []float64) error {
	lying, err := l.misbehave()
	copy(out, b.F64(policy.BaseTTL))
	if lying && l.lie == "nan" {
		out[0] = math.NaN()
	}
	if lying && l.lie == "negative" {
		out[0] = -1
	}
	return err
}

func (l *liar) Limit(in *policy.Load) (float64, policy.Reason, error) {
	lying, err := l.misbehave()
	if lying && l.lie == "nan" {
		return math.NaN(), 0, err
	}
	return in.Limit, policy.ReasonFixed, err
}

func (l *liar) Reset(c policy.Capacity) error {
	l.resident = make([]bool, c.MaxSlots)
	l.hand = 0
	return nil
}

func (l *liar) Observe(e *policy.Events) error {
	for ev := range e.All() {
		switch ev.Op {
		case policy.OpInsert, policy.OpRestore:
			l.resident[ev.Slot] = true
		case policy.OpRemove, policy.OpExpire:
			l.resident[ev.Slot] = false
		}
	}
	return nil
}

func (l *liar) Victims(need int64, out []policy.Slot) (int, error) {
	lying, err := l.misbehave()
	for range l.resident {
		l.hand = (l.hand + 1) % len(l.resident)
		if l.resident[l.hand] {
			break
		}
	}
	if err != nil || !l.resident[l.hand] {
		return 0, err
	}
	s := policy.Slot(l.hand)
	l.resident[l.hand] = false
	switch {
	case lying && l.lie == "absent":
		s = 1 << 20
	case lying && l.lie == "again":
		s = l.last
	}
	l.last, out[0] = s, s
	return 1, nil
}

func (l *liar) Propose(b *policy.Batch, out []policy.KeyHash) (int, error) {
	lying, err := l.misbehave()
	if len(b.Keys()) == 0 {
		return 0, err
	}
	out[0] = b.Keys()[0]
	if lying && l.lie == "invent" {
		out[0] = 0xDEADBEEFDEADBEEF
	}
	return 1, err
}
