package resource

import (
	"io/fs"
	"sync"
	"time"
)

// Options are the settings of a monitor.
type Options struct {
	// FS is the root of the file system. Default: the machine's.
	FS fs.FS
	// MinInterval is the shortest time between two measurements: a question
	// that comes earlier gets the last sample. Default 200ms; a ratio over a
	// shorter time is mostly the granularity of the kernel's clocks.
	MinInterval time.Duration
}

// Monitor measures. Safe for concurrent use.
type Monitor struct {
	o  Options
	mu sync.Mutex
}

// New returns a monitor.
func New(o Options) *Monitor { return &Monitor{o: o} }

// Sample measures.
func (m *Monitor) Sample() Sample { return Sample{} }
