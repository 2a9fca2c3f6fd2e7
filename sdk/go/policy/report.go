package policy

// Level is how important a log line is.
type Level int32

// The levels.
const (
	LevelTrace Level = 0
	LevelDebug Level = 1
	LevelInfo  Level = 2
	LevelWarn  Level = 3
	LevelError Level = 4
)

// Log writes one line, at most 1 KiB of it, to the host's log under the
// policy's name; natively to standard error. The host drops lines of a policy
// that writes too many: it is for what happens rarely.
func Log(level Level, line string) {
	if len(line) > logLineMaxBytes {
		line = line[:logLineMaxBytes]
	}
	hostLog(level, line)
}

// metric is one number that a policy reports.
type metric struct {
	name, kind, help string
	id               int32 // index in the manifest; -1 before Serve
	value            float64
}

// Gauge is a number that goes up and down, shown by the host under the
// policy's name. Listed in [Manifest].Gauges.
type Gauge struct{ metric }

// NewGauge returns a gauge; its name is lower-case words joined by '_', unit
// last.
func NewGauge(name, help string) *Gauge {
	return &Gauge{metric{name: name, kind: "gauge", help: help, id: -1}}
}

// Set reports the present value.
func (g *Gauge) Set(v float64) {
	g.value = v
	hostMetric(g.id, v)
}

// Value returns what was last set by this instance.
func (g *Gauge) Value() float64 { return g.value }

// Counter is a number that only grows, shown by the host under the policy's
// name. Listed in [Manifest].Counters.
type Counter struct{ metric }

// NewCounter returns a counter; its name is lower-case words joined by '_',
// ending in "total".
func NewCounter(name, help string) *Counter {
	return &Counter{metric{name: name, kind: "counter", help: help, id: -1}}
}

// Add reports that v more were counted.
func (c *Counter) Add(v float64) {
	c.value += v
	hostMetric(c.id, v)
}

// Value returns what this instance has counted.
func (c *Counter) Value() float64 { return c.value }
