// Package prefetch holds the native policies that decide what to load before
// it is asked for, beside the built-in default, which is in package linear.
//
//   - [None] proposes nothing.
//   - [RefreshAhead] loads an entry again shortly before it expires when it is
//     likely to be asked for in its next lifetime.
//   - [Association] loads the keys that were often asked for soon after one
//     that was just asked for.
//
// Each is a [policies.Prefetch]: it observes the stream of events, and is asked
// for proposals on a tick. A policy here must not know how keys are loaded, what
// loading costs the origin, or whether the host is under pressure: the host
// bounds its budget, and drops what is resident and fresh.
//
// Caveats. Nothing here is safe for concurrent use. A proposal is a hash: the
// host can load only keys that it still remembers.
package prefetch

import (
	"github.com/perfopt/perfopt/policies"
)

// None proposes nothing.
type None struct{}

var _ policies.Prefetch = None{}

// NewNone returns a policy that proposes nothing.
func NewNone() None { return None{} }

// Info describes the policy.
func (None) Info() policies.Info {
	return policies.Info{Name: "none", Version: "1", Kind: policies.KindPrefetch}
}

// Observe does nothing.
func (None) Observe([]policies.Event, []policies.Insert) error { return nil }

// Propose proposes nothing.
func (None) Propose(*policies.Candidates, int, []policies.KeyHash) (int, error) { return 0, nil }

// choice is a key that may be proposed.
type choice struct {
	key   policies.KeyHash
	value float64
}

// better orders choices: the most valuable first, then by key.
func better(a, b choice) int {
	switch {
	case a.value > b.value:
		return -1
	case a.value < b.value:
		return 1
	case a.key < b.key:
		return -1
	case a.key > b.key:
		return 1
	}
	return 0
}

// write writes the keys of ordered choices, each once, and returns how many.
func write(choices []choice, budget int, out []policies.KeyHash) int {
	n := 0
next:
	for _, c := range choices {
		if n == min(budget, len(out)) {
			break
		}
		for _, h := range out[:n] {
			if h == c.key {
				continue next
			}
		}
		out[n] = c.key
		n++
	}
	return n
}
