package resource

import (
	"os"

	"github.com/shirou/gopsutil/v3/cpu"
	"github.com/shirou/gopsutil/v3/mem"
	"github.com/shirou/gopsutil/v3/process"
)

// host is the machine and this process, as gopsutil sees them.
type host interface {
	// cpu returns the CPU seconds that were used and that there were, of all
	// CPUs together, since the machine began.
	cpu() (busy, total float64, ok bool)
	// memory returns the share in use that cannot be reclaimed at once, and
	// the bytes there are.
	memory() (ratio float64, total int64, ok bool)
	// process returns CPU seconds and resident bytes of this process.
	process() (cpuSeconds float64, rss int64)
}

// machine is the host that is.
type machine struct{ self *process.Process }

var _ host = (*machine)(nil)

func newMachine() *machine {
	self, err := process.NewProcess(int32(os.Getpid()))
	if err != nil {
		self = nil // a process that cannot be looked at: its numbers stay 0
	}
	return &machine{self: self}
}

func (m *machine) cpu() (busy, total float64, ok bool) {
	times, err := cpu.Times(false)
	if err != nil || len(times) == 0 {
		return 0, 0, false
	}
	t := times[0] // user contains guest
	busy = t.User + t.Nice + t.System + t.Irq + t.Softirq + t.Steal
	return busy, busy + t.Idle + t.Iowait, true
}

func (m *machine) memory() (ratio float64, total int64, ok bool) {
	v, err := mem.VirtualMemory()
	if err != nil || v.Total == 0 {
		return 0, 0, false
	}
	return 1 - float64(v.Available)/float64(v.Total), int64(v.Total), true
}

func (m *machine) process() (cpuSeconds float64, rss int64) {
	if m.self == nil {
		return 0, 0
	}
	if t, err := m.self.Times(); err == nil {
		cpuSeconds = t.User + t.System
	}
	if i, err := m.self.MemoryInfo(); err == nil {
		rss = int64(i.RSS)
	}
	return cpuSeconds, rss
}
