package hostabi

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/hashicorp/go-hclog"

	"github.com/perfopt/perfopt/hostabi/abi"
	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/features"
)

// Env is what an instance is given.
type Env struct {
	// Features are the cache's. Wanted by [Module.Eviction] for modules that
	// score candidates; others need none.
	Features *features.Table
	// Config are the settings; keys that are missing take the schema's defaults.
	Config map[string]any
	// Seed makes the instance's randomness.
	Seed uint64
	// Now is the clock of calls that bring no moment of their own. Default: the
	// host's.
	Now func() policies.Nanos
	// Logger receives the module's lines, during a call of the instance, which
	// it must not call itself. Default: the host's.
	Logger hclog.Logger
	// Metric receives the declared metrics: a gauge's value, or what a counter
	// grows by. Called by the goroutine that called the instance, during the
	// call: it must not call the instance itself. Default: none.
	Metric func(name string, v float64)
	// Replay and Shadow are told to the module.
	Replay, Shadow bool
}

// instance is the part that the policies of all kinds share: a guest that is
// replaced when it is spent.
type instance struct {
	m       *Module
	o       guestOptions
	clock   func() policies.Nanos
	columns []column
	// fuel is what all calls used; written under mu, read by anyone.
	fuel atomic.Uint64

	mu sync.Mutex // guards the fields below; held during a call, so that Close waits
	// g is nil before the first start and after a fault.
	g      *guest
	closed bool
}

// newInstance checks what can be checked without running the module. The
// instance holds the module open until it is closed.
func (m *Module) newInstance(kind policies.Kind, env Env) (*instance, error) {
	if !m.manifest.Has(kind) {
		return nil, fmt.Errorf("policy module %s does not decide %s: its kinds are %v", m.manifest.Name, kind, m.manifest.Kinds)
	}
	config, err := m.manifest.config(env.Config)
	if err != nil {
		return nil, err
	}
	i := &instance{m: m, clock: env.Now, columns: m.manifest.columns()}
	if i.clock == nil {
		i.clock = m.host.o.Now
	}
	i.o = guestOptions{kind: kind, seed: env.Seed, config: config, logger: env.Logger, metric: env.Metric}
	if env.Replay {
		i.o.flags |= abi.FlagReplay
	}
	if env.Shadow {
		i.o.flags |= abi.FlagShadow
	}
	i.o.columns = kind == policies.KindTTL || kind == policies.KindPrefetch || kind == policies.KindEviction && m.scores
	i.o.events = kind == policies.KindEviction && !m.scores || kind == policies.KindPrefetch && m.exports(abi.ExportEvents)
	if err := m.acquire(); err != nil {
		return nil, err
	}
	return i, nil
}

// started is newInstance followed by the first start.
func (m *Module) started(kind policies.Kind, env Env) (*instance, error) {
	i, err := m.newInstance(kind, env)
	if err != nil {
		return nil, err
	}
	i.mu.Lock()
	_, err = i.guest()
	i.mu.Unlock()
	if err != nil {
		_ = i.Close()
		return nil, err
	}
	return i, nil
}

// guest returns the guest, a fresh one where the last was spent. The caller
// holds mu.
func (i *instance) guest() (*guest, error) {
	if i.closed {
		return nil, i.m.fault(i.o.kind, policies.FaultStatus, "the instance is closed")
	}
	if i.g != nil {
		return i.g, nil
	}
	o := i.o
	o.now = i.clock()
	g, err := i.m.start(o)
	if err != nil {
		return nil, err
	}
	i.g = g
	i.account()
	return g, nil
}

// account adds what the guest used since the last time. The caller holds mu.
func (i *instance) account() {
	i.fuel.Add(i.g.used)
	i.g.used = 0
}

// spend gives up the guest after a fault. The caller holds mu.
func (i *instance) spend(fault *policies.Fault) error {
	i.account()
	i.g.close()
	i.g = nil
	return fault
}

// Info describes the policy.
func (i *instance) Info() policies.Info { return i.m.Info(i.o.kind) }

// FuelUsed returns the fuel that all calls used. Safe for concurrent use.
func (i *instance) FuelUsed() uint64 { return i.fuel.Load() }

// Close waits for the call in flight and frees the instance. Calls after it
// fail. Safe to call twice.
func (i *instance) Close() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return nil
	}
	i.closed = true
	if i.g != nil {
		i.g.close()
		i.g = nil
	}
	i.m.release()
	return nil
}

// ExportState appends the state to dst.
func (i *instance) ExportState(dst []byte) ([]byte, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	g, err := i.stateful()
	if err != nil {
		return dst, err
	}
	f, start := g.exported(abi.ExportStateOut), len(dst)
	for {
		g.begin(i.clock(), int(g.outCap), 0, 0)
		n, fault := g.call(f, g.m.host.o.Fuel.Max, uint64(g.outCap))
		switch {
		case fault != nil:
			return dst[:start], i.spend(fault)
		case n < 0:
			return dst[:start], i.spend(g.status(abi.ExportStateOut, n))
		case uint32(n) > g.outCap:
			return dst[:start], i.spend(g.failed(policies.FaultState, fmt.Sprintf("%s returned %d, want at most %d", abi.ExportStateOut, n, g.outCap)))
		case len(dst)-start+int(n) > abi.StateMaxBytes:
			return dst[:start], i.spend(g.failed(policies.FaultState, fmt.Sprintf("state is larger than %d bytes", abi.StateMaxBytes)))
		}
		dst = append(dst, g.out()[:n]...)
		if uint32(n) < g.outCap {
			i.account()
			return dst, nil
		}
	}
}

// ImportState replaces the state.
func (i *instance) ImportState(state []byte) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	g, err := i.stateful()
	if err != nil {
		return err
	}
	if len(state) > abi.StateMaxBytes {
		return g.failed(policies.FaultState, fmt.Sprintf("state has %d bytes, want at most %d", len(state), abi.StateMaxBytes))
	}
	f := g.exported(abi.ExportStateIn)
	for {
		n := min(len(state), int(g.outCap))
		flags := uint32(0)
		if n < int(g.outCap) {
			flags = abi.FlagLastBatch
		}
		g.begin(i.clock(), n, n, flags)
		copy(g.in(), state[:n])
		status, fault := g.call(f, g.m.host.o.Fuel.Init, uint64(n), uint64(g.m.manifest.StateVersion))
		if fault != nil {
			return i.spend(fault)
		}
		if status < 0 {
			fault = g.status(abi.ExportStateIn, status)
			fault.Reason = policies.FaultState
			return i.spend(fault)
		}
		if state = state[n:]; flags != 0 {
			i.account()
			return nil
		}
	}
}

func (i *instance) stateful() (*guest, error) {
	if i.m.manifest.StateVersion == 0 {
		return nil, fmt.Errorf("policy module %s has no state to hand over", i.m.manifest.Name)
	}
	return i.guest()
}

// writeRows copies n rows from the given one on into the in region. A column
// that the host did not provide is NaN.
func (i *instance) writeRows(g *guest, rows *policies.Rows, from, n int) {
	in := g.in()
	copy(in, bytesOf(rows.KeyHash[from:from+n]))
	for _, c := range i.columns {
		in = in[g.stride:]
		var values []float64
		if c.known {
			values = rows.Column(c.column)
		}
		if values == nil {
			nan := floatsOf(in, n)
			for row := range nan {
				nan[row] = math.NaN()
			}
			continue
		}
		copy(in, bytesOf(values[from:from+n]))
	}
}

// bytesOf returns the bytes of a slice of numbers or records, which are the
// same in Go and in the arena on a little-endian machine.
func bytesOf[T policies.Event | policies.Insert | policies.KeyHash | policies.Slot | float64](s []T) []byte {
	var one T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(one)))
}

// floatsOf returns the first n float64 of a region of the arena, which is
// aligned in the guest's memory and so in the host's.
func floatsOf(region []byte, n int) []float64 {
	region = region[:8*n]
	return unsafe.Slice((*float64)(unsafe.Pointer(unsafe.SliceData(region))), n)
}
