package hostabi

import (
	"context"
	"fmt"
	"sync"

	"github.com/tetratelabs/wazero"

	"github.com/perfopt/perfopt/hostabi/meter"
	"github.com/perfopt/perfopt/policies"
)

// Module is a loaded module. Safe for concurrent use.
type Module struct {
	host     *Host
	digest   string
	size     int
	parsed   *meter.Module
	goGuest  bool
	manifest Manifest
	// scores says that eviction is by scoring candidates, not by an order.
	scores bool

	runtime  wazero.Runtime
	compiled wazero.CompiledModule

	mu sync.Mutex // guards the fields below
	// refs counts the instances, and the module itself until it is closed.
	refs   int
	closed bool
}

// Manifest returns what the module says of itself. Its slices and maps must
// not be changed.
func (m *Module) Manifest() Manifest { return m.manifest }

// Digest returns the SHA-256 of the module's bytes, in lower-case hexadecimal.
func (m *Module) Digest() string { return m.digest }

// Size returns the number of the module's bytes.
func (m *Module) Size() int { return m.size }

// Kinds returns the kinds that the module decides.
func (m *Module) Kinds() []policies.Kind { return m.manifest.Kinds }

// Scores reports whether the module's eviction scores a sample of candidates;
// otherwise it keeps an order.
func (m *Module) Scores() bool { return m.scores }

// Imports returns what the module imports, as "module name (i32) -> i32".
func (m *Module) Imports() []string {
	list := make([]string, 0, len(m.parsed.Imports))
	for _, i := range m.parsed.Imports {
		list = append(list, fmt.Sprintf("%s %s %s", i.Module, i.Name, signature(i.Type)))
	}
	return list
}

// Exports returns what the module exports, as "name (i32) -> i32" or
// "name memory".
func (m *Module) Exports() []string {
	list := make([]string, 0, len(m.parsed.Exports))
	for _, e := range m.parsed.Exports {
		what := e.Kind.String()
		if e.Kind == meter.ExternFunc {
			what = signature(e.Type)
		}
		list = append(list, e.Name+" "+what)
	}
	return list
}

// ValidateConfig checks settings against the module's schema. All problems are
// reported together.
func (m *Module) ValidateConfig(settings map[string]any) error {
	_, err := m.manifest.config(settings)
	return err
}

// Info describes the module's policy of a kind.
func (m *Module) Info(kind policies.Kind) policies.Info {
	info := policies.Info{Name: m.manifest.Name, Version: m.manifest.Version, Kind: kind, StateVersion: m.manifest.StateVersion}
	if kind == policies.KindScaling || kind == policies.KindEviction && !m.scores {
		return info
	}
	add := func(c policies.Column) {
		for _, have := range info.Columns {
			if have == c {
				return
			}
		}
		info.Columns = append(info.Columns, c)
	}
	for _, c := range m.manifest.columns() {
		if c.known {
			add(c.column)
		}
	}
	if kind == policies.KindEviction { // answers in place of a module that is warming up
		add(policies.ColPrediction)
	}
	return info
}

// Close lets go of the module. Its compiled code is freed when the last of its
// instances is closed too; they go on working until then. Safe to call twice.
func (m *Module) Close() error {
	m.mu.Lock()
	closed := m.closed
	m.closed = true
	m.mu.Unlock()
	if !closed {
		m.release()
	}
	return nil
}

// acquire counts an instance.
func (m *Module) acquire() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return fmt.Errorf("policy module %s is closed", m.manifest.Name)
	}
	m.refs++
	return nil
}

func (m *Module) release() {
	m.mu.Lock()
	m.refs--
	last := m.refs == 0
	m.mu.Unlock()
	if !last {
		return
	}
	if m.runtime != nil {
		// Closes what was instantiated and compiled; in memory only, so there
		// is no error that a caller could act upon.
		_ = m.runtime.Close(context.Background())
	}
	m.host.released()
}

// Budget returns the fuel that a call about that many rows may use.
func (m *Module) Budget(rows int) int64 { return m.budget(rows) }

// budget is the fuel of a call with that many rows.
func (m *Module) budget(rows int) int64 {
	f := &m.host.o.Fuel
	if m.goGuest {
		return min(f.CallGo+f.RowGo*int64(rows), f.MaxGo)
	}
	return min(f.Call+f.Row*int64(rows), f.Max)
}
