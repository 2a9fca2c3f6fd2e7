package guard

import "sync/atomic"

// meter adds the fuel that one instance uses to the health of its policy.
type meter struct {
	source FuelMeter // nil where nothing is metered
	seen   *atomic.Uint64
}

func meterOf(p any) meter {
	m, _ := p.(FuelMeter)
	return meter{source: m, seen: new(atomic.Uint64)}
}

func (m *meter) read(h *Health) {
	if m.source == nil {
		return
	}
	for used := m.source.FuelUsed(); ; {
		before := m.seen.Load()
		if used <= before {
			return
		}
		if m.seen.CompareAndSwap(before, used) {
			h.fuel.Add(used - before)
			return
		}
	}
}
