package guard

import "sync/atomic"

// meter adds the fuel that one instance uses to the health of its policy.
type meter struct {
	source FuelMeter // nil where nothing is metered
	read0  *atomic.Uint64
}

func meterOf(p any) meter {
	m, _ := p.(FuelMeter)
	return meter{source: m, read0: new(atomic.Uint64)}
}

func (m *meter) read(h *Health) {
	if m.source == nil {
		return
	}
	for used := m.source.FuelUsed(); ; {
		before := m.read0.Load()
		if used <= before {
			return
		}
		if m.read0.CompareAndSwap(before, used) {
			h.fuel.Add(used - before)
			return
		}
	}
}
