package guard

import (
	"fmt"

	"github.com/perfopt/perfopt/policies"
)

// EvictionGuard checks an eviction policy. It keeps a bit a slot: which
// entries the policy may name. Not safe for concurrent use, like every
// [policies.Orderer].
type EvictionGuard struct {
	policy policies.Orderer
	info   policies.Info
	health *Health
	meter  meter
	spent  *policies.Fault
	bound  uint32
	mayGo  []uint64 // a bit a slot: in the policy's order
}

var (
	_ policies.Orderer  = (*EvictionGuard)(nil)
	_ policies.Stateful = (*EvictionGuard)(nil)
)

// Eviction returns a guard around one instance of an eviction policy.
func Eviction(p policies.Orderer, h *Health) *EvictionGuard {
	return &EvictionGuard{policy: p, info: p.Info(), health: h, meter: meterOf(p)}
}

// Info describes the guarded policy.
func (g *EvictionGuard) Info() policies.Info { return g.info }

// Spent returns the fault that ended the instance, nil while it is in use.
func (g *EvictionGuard) Spent() *policies.Fault { return g.spent }

// Reset makes the policy empty. A spent guard stays spent.
func (g *EvictionGuard) Reset(c policies.Capacity) error {
	g.bound = c.MaxSlots
	clear(g.mayGo)
	return g.run(0, func() error { return g.policy.Reset(c) })
}

// Observe shows a batch of events.
func (g *EvictionGuard) Observe(events []policies.Event, inserts []policies.Insert) error {
	for i := range events {
		switch e := &events[i]; e.Op {
		case policies.OpInsert, policies.OpRestore:
			g.mark(e.Slot)
		case policies.OpRemove, policies.OpExpire:
			g.unmark(e.Slot)
		}
	}
	return g.run(len(events), func() error { return g.policy.Observe(events, inserts) })
}

// Victims names entries to evict; each was resident and is named once. A policy
// that is warming up names none.
func (g *EvictionGuard) Victims(need int64, out []policies.Slot) (int, error) {
	var n int
	err := g.run(1, func() (err error) {
		if n, err = g.policy.Victims(need, out); isWarming(err) {
			n, err = 0, nil
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	if detail := g.check(n, out); detail != "" {
		return 0, g.fail(faultOf(g.info, policies.FaultOutput, detail))
	}
	g.health.decisions.record(policies.KindEviction, func(e *entry) {
		e.set(0, float64(need))
		e.outputs[0] = float64(n)
		if n > 0 {
			e.outputs[1] = float64(out[0])
		}
	})
	return n, nil
}

// check takes the victims out of the order and says what is wrong with them.
func (g *EvictionGuard) check(n int, out []policies.Slot) string {
	if n < 0 || n > len(out) {
		return fmt.Sprintf("named %d victims where 0 to %d were asked for", n, len(out))
	}
	for i, s := range out[:n] {
		if uint32(s) >= g.bound {
			return fmt.Sprintf("victim %d is slot %d, beyond the last slot %d", i, s, int64(g.bound)-1)
		}
		if !g.unmark(s) {
			return fmt.Sprintf("victim %d is slot %d, which holds no entry that may go", i, s)
		}
	}
	return ""
}

// ExportState forwards to the policy.
func (g *EvictionGuard) ExportState(dst []byte) ([]byte, error) {
	return export(g.policy, g.info, dst)
}

// ImportState forwards to the policy.
func (g *EvictionGuard) ImportState(state []byte) error { return restore(g.policy, g.info, state) }

// Close closes the policy where it can be closed.
func (g *EvictionGuard) Close() error { return closePolicy(g.policy) }

// run asks the policy unless it is spent.
func (g *EvictionGuard) run(rows int, f func() error) error {
	if g.spent != nil {
		return g.spent
	}
	start := g.health.begin(rows)
	fault := call(g.info, f)
	g.health.end(start, rows)
	g.meter.read(g.health)
	if fault != nil {
		return g.fail(fault)
	}
	return nil
}

func (g *EvictionGuard) fail(f *policies.Fault) error {
	g.spent = f
	g.health.fault(f)
	return f
}

func (g *EvictionGuard) mark(s policies.Slot) {
	if uint32(s) >= g.bound {
		return
	}
	w := int(s >> 6)
	if w >= len(g.mayGo) {
		g.mayGo = append(g.mayGo, make([]uint64, w+1-len(g.mayGo))...)
	}
	g.mayGo[w] |= 1 << (s & 63)
}

// unmark reports whether the slot was marked.
func (g *EvictionGuard) unmark(s policies.Slot) bool {
	w := uint(s >> 6)
	if w >= uint(len(g.mayGo)) || g.mayGo[w]>>(s&63)&1 == 0 {
		return false
	}
	g.mayGo[w] &^= 1 << (s & 63)
	return true
}
