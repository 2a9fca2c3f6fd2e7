package guard

import (
	"fmt"

	"github.com/perfopt/perfopt/policies"
)

// PrefetchGuard checks a prefetch policy: it proposes at most the budget, each
// key once, and only keys that it was shown. Not safe for concurrent use, like
// every [policies.Prefetch].
//
// Keys shown in events are remembered in a bounded set. While nothing had to
// be forgotten, an unknown key is a fault; afterwards it is dropped.
type PrefetchGuard struct {
	policy policies.Prefetch
	info   policies.Info
	health *Health
	meter  meter
	shown  shownKeys
}

var _ policies.Prefetch = (*PrefetchGuard)(nil)

// Prefetch returns a guard around a prefetch policy. Where the policy cannot
// decide, nothing is proposed.
func Prefetch(p policies.Prefetch, h *Health) *PrefetchGuard {
	return &PrefetchGuard{policy: p, info: p.Info(), health: h, meter: meterOf(p)}
}

// Info describes the guarded policy.
func (g *PrefetchGuard) Info() policies.Info { return g.info }

// Observe shows a batch of events; it never fails.
func (g *PrefetchGuard) Observe(events []policies.Event, inserts []policies.Insert) error {
	for i := range inserts {
		g.shown.add(inserts[i].KeyHash)
	}
	if !g.health.Quarantined() {
		g.run(len(events), func() error { return g.policy.Observe(events, inserts) })
	}
	return nil
}

// Propose writes the keys to load; it never fails.
func (g *PrefetchGuard) Propose(in *policies.Candidates, budget int, out []policies.KeyHash) (int, error) {
	budget = min(budget, len(out))
	if budget <= 0 || g.health.Quarantined() {
		return 0, nil
	}
	var n int
	fault := g.run(in.Len(), func() (err error) {
		if n, err = g.policy.Propose(in, budget, out[:budget]); err != nil {
			n = 0
		}
		return err
	})
	if fault == nil {
		var detail string
		if n, detail = g.check(in, budget, n, out); detail != "" {
			fault = faultOf(g.info, policies.FaultOutput, detail)
			g.health.fault(fault)
		}
	}
	if fault != nil {
		n = 0
	}
	g.health.decisions.record(policies.KindPrefetch, func(e *entry) {
		e.set(0, float64(in.Len()))
		e.set(1, float64(budget))
		e.outputs[0] = float64(n)
		if fault != nil {
			e.fault = fault.Reason
		}
	})
	return n, nil
}

// check drops repeated and forgotten keys and says what is wrong.
func (g *PrefetchGuard) check(in *policies.Candidates, budget, n int, out []policies.KeyHash) (int, string) {
	if n < 0 || n > budget {
		return 0, fmt.Sprintf("proposed %d keys within a budget of %d", n, budget)
	}
	if n == 0 {
		return 0, ""
	}
	const candidate, taken = 1, 2
	state := make(map[policies.KeyHash]int, in.Len()+n)
	for _, h := range in.KeyHash {
		state[h] = candidate
	}
	kept := 0
	for i, h := range out[:n] {
		if state[h] == 0 && !g.shown.has(h) {
			if !g.shown.forgot {
				return 0, fmt.Sprintf("proposal %d is key %016x, which it was never shown", i, uint64(h))
			}
			continue
		}
		if state[h] != taken {
			state[h] = taken
			out[kept] = h
			kept++
		}
	}
	g.health.dropped.Add(uint64(n - kept))
	return kept, ""
}

// run asks the policy and counts its fault.
func (g *PrefetchGuard) run(rows int, f func() error) *policies.Fault {
	start := g.health.begin(rows)
	fault := call(g.info, func() error {
		if err := f(); err != nil && !isWarming(err) {
			return err
		}
		return nil
	})
	g.health.end(start, rows)
	g.meter.read(g.health)
	if fault != nil {
		g.health.fault(fault)
	}
	return fault
}

// ExportState forwards to the policy.
func (g *PrefetchGuard) ExportState(dst []byte) ([]byte, error) { return export(g.policy, g.info, dst) }

// ImportState forwards to the policy.
func (g *PrefetchGuard) ImportState(state []byte) error { return restore(g.policy, g.info, state) }

// Close closes the policy where it can be closed.
func (g *PrefetchGuard) Close() error { return closePolicy(g.policy) }

// shownWidth is the logarithm of the number of keys that a guard remembers.
const shownWidth = 15

// shownKeys is a bounded set of hashes: one place a key, the latest stays.
type shownKeys struct {
	keys   []policies.KeyHash
	used   []uint64 // a bit a place
	forgot bool
}

func place(h policies.KeyHash) int {
	x := uint64(h) * 0x9E3779B97F4A7C15
	return int((x ^ x>>32) * 0xD6E8FEB86659FD93 >> (64 - shownWidth))
}

func (s *shownKeys) add(h policies.KeyHash) {
	if s.keys == nil {
		s.keys = make([]policies.KeyHash, 1<<shownWidth)
		s.used = make([]uint64, 1<<shownWidth/64)
	}
	p := place(h)
	bit := uint64(1) << (p & 63)
	if s.used[p>>6]&bit != 0 && s.keys[p] != h {
		s.forgot = true
	}
	s.used[p>>6] |= bit
	s.keys[p] = h
}

func (s *shownKeys) has(h policies.KeyHash) bool {
	if s.keys == nil {
		return false
	}
	p := place(h)
	return s.used[p>>6]>>(p&63)&1 != 0 && s.keys[p] == h
}
