// Package resource measures the CPU and memory of whatever limits this process:
// its own control group (version 2 or 1, including hybrids) where that sets a
// limit, else the host, through gopsutil.
//
// A [Monitor] is asked for a [Sample] once a tick. CPU is used time over the
// time that could have been used since the last measurement; memory is what
// cannot be reclaimed at once over the tightest limit of the group and its
// ancestors. Page cache is not pressure: inactive file pages do not count.
//
// The parsers are pure functions over bytes and the files are read through an
// [io/fs.FS], so that every layout of groups is a fixture in a test.
//
// This package must not know who asks, or what is done about a high ratio: it
// has no thresholds.
//
// Caveats. gopsutil reports the host even inside a container, so it serves only
// where no group limits the process, and for the process itself. Without a
// limit on the CPU, what other processes of the host use counts too: it is what
// this process competes for. Files that cannot be read are no error: the next
// best source is used and [Sample].Source says which. Pressure is a difference
// of the kernel's totals, not its moving averages, which lag by ten seconds.
package resource

// Sample is the use of CPU and memory at a moment. A part that could not be
// measured is 0.
type Sample struct {
	// CPURatio is the share of the CPU time that this process may use which
	// was used since the last measurement, 0..1. The first sample has 0.
	CPURatio float64
	// MemoryRatio is the share of the memory that this process may use which
	// is in use and cannot be reclaimed at once, 0..1.
	MemoryRatio float64
	// Throttled is the share of the scheduling periods since the last
	// measurement in which the group was throttled, 0..1.
	Throttled float64
	// CPUPressure and MemoryPressure are the shares of the time since the last
	// measurement in which some task of the group was stalled for want of CPU
	// or memory, 0..1.
	CPUPressure    float64
	MemoryPressure float64

	CPUCores         float64 // CPUs that this process may use: the least of quota and GOMAXPROCS
	MemoryLimitBytes int64   // bytes that this process may use; 0 = unknown

	ProcessCPUSeconds float64 // CPU time of this process since it began, seconds
	RSSBytes          int64   // resident memory of this process, bytes

	// Source names where CPU and memory come from, such as
	// "cpu: cgroup2, memory: cgroup2" or "cpu: host, memory: cgroup1".
	Source string
}
