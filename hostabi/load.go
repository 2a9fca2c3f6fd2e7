package hostabi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/perfopt/perfopt/hostabi/abi"
	"github.com/perfopt/perfopt/hostabi/meter"
	"github.com/perfopt/perfopt/policies"
)

// coreFeatures is what package meter can read: WebAssembly 2.0, vectors
// included.
const coreFeatures = api.CoreFeaturesV2

// Load checks, meters and compiles a module and reads its manifest, for which
// it runs the module's start. The caller must not change wasm afterwards.
//
// It takes milliseconds for a small module and half a second for a Go guest, so
// it belongs beside the work and not in its way.
func (h *Host) Load(ctx context.Context, wasm []byte) (*Module, error) {
	parsed, err := meter.Parse(wasm, h.limits())
	if err != nil {
		return nil, fmt.Errorf("module: %w", err)
	}
	digest := sha256.Sum256(wasm)
	m := &Module{
		host: h, digest: hex.EncodeToString(digest[:]), size: len(wasm),
		parsed: parsed, goGuest: usesWASI(parsed), refs: 1,
	}
	if err := m.checkInterface(); err != nil {
		return nil, err
	}
	if err := h.opened(); err != nil {
		return nil, err
	}
	if err := m.compile(ctx, parsed.Rewrite()); err != nil {
		m.release()
		return nil, err
	}
	if err := m.readManifest(); err != nil {
		m.release()
		return nil, err
	}
	return m, nil
}

func usesWASI(p *meter.Module) bool {
	return slices.ContainsFunc(p.Imports, func(i meter.Import) bool { return i.Module == abi.ImportWASI })
}

// checkInterface checks what can be told without running anything. All
// problems are reported together.
func (m *Module) checkInterface() error {
	if _, ok := m.parsed.Export(abi.ExportMarker); !ok {
		for _, e := range m.parsed.Exports {
			if v, found := strings.CutPrefix(e.Name, abi.MarkerPrefix); found {
				return fmt.Errorf("module is for version %s of the interface, want version %d: build it with an SDK of that version", clip(v, 20), abi.Major)
			}
		}
		return fmt.Errorf("module has no export %q, which marks a policy: build it with an SDK", abi.ExportMarker)
	}
	problems := m.checkImports()
	if pages := m.pages(); !m.parsed.HasMemory {
		problems = append(problems, errors.New("module declares no memory, want one"))
	} else if m.parsed.MemoryMin > pages {
		problems = append(problems, fmt.Errorf("module wants %d pages of memory at least, at most %d are allowed", m.parsed.MemoryMin, pages))
	}
	if e, ok := m.parsed.Export(abi.ExportMemory); !ok || e.Kind != meter.ExternMemory {
		problems = append(problems, fmt.Errorf("module does not export its memory, want an export %q", abi.ExportMemory))
	}
	for _, f := range abi.Exports() {
		problems = append(problems, m.checkExport(f, f.Required))
	}
	return errors.Join(problems...)
}

func (m *Module) checkImports() (problems []error) {
	for _, i := range m.parsed.Imports {
		var offered []abi.Function
		switch i.Module {
		case abi.ImportModule:
			offered = abi.Imports()
		case abi.ImportWASI:
			offered = abi.WASI()
		}
		at := slices.IndexFunc(offered, func(f abi.Function) bool { return f.Name == i.Name })
		if at < 0 {
			problems = append(problems, fmt.Errorf("import %q %q is not offered, want only %q %s and the system calls that a Go guest's runtime needs",
				clip(i.Module, 80), clip(i.Name, 80), abi.ImportModule, "log and metric"))
			continue
		}
		if got, want := signature(i.Type), offered[at].Signature(); got != want {
			problems = append(problems, fmt.Errorf("import %q %q has signature %s, want %s", i.Module, i.Name, got, want))
		}
	}
	return problems
}

// checkExport checks an export's kind and signature where it is there, and
// that it is there where it is needed.
func (m *Module) checkExport(f abi.Function, needed bool) error {
	e, ok := m.parsed.Export(f.Name)
	switch {
	case !ok && needed:
		return fmt.Errorf("module has no export %q, want a function %s: %s", f.Name, f.Signature(), f.Doc)
	case !ok:
		return nil
	case e.Kind != meter.ExternFunc:
		return fmt.Errorf("export %q is a %s, want a function %s", f.Name, e.Kind, f.Signature())
	}
	if got, want := signature(e.Type), f.Signature(); got != want {
		return fmt.Errorf("export %q has signature %s, want %s", f.Name, got, want)
	}
	return nil
}

// checkKinds checks that each kind of the manifest has its exports.
func (m *Module) checkKinds() error {
	var problems []error
	need := func(names ...string) {
		for _, n := range names {
			f, _ := abi.Export(n)
			problems = append(problems, m.checkExport(f, true))
		}
	}
	for _, k := range m.manifest.Kinds {
		switch k {
		case policies.KindTTL:
			need(abi.ExportTTL)
		case policies.KindPrefetch:
			need(abi.ExportPrefetch)
		case policies.KindScaling:
			need(abi.ExportScale)
		case policies.KindEviction:
			if m.exports(abi.ExportScore) {
				break
			}
			if !m.exports(abi.ExportEvents) && !m.exports(abi.ExportEvict) {
				problems = append(problems, fmt.Errorf("manifest: kind eviction needs the export %q (to score candidates) or %q and %q (to keep an order)",
					abi.ExportScore, abi.ExportEvents, abi.ExportEvict))
				break
			}
			need(abi.ExportEvents, abi.ExportEvict)
		}
	}
	if m.manifest.StateVersion != 0 {
		need(abi.ExportStateOut, abi.ExportStateIn)
	}
	return errors.Join(problems...)
}

func (m *Module) exports(name string) bool {
	_, ok := m.parsed.Export(name)
	return ok
}

func signature(t meter.FuncType) string {
	return abi.Signature(abiTypes(t.Params), abiTypes(t.Results))
}

func abiTypes(types []meter.ValueType) []abi.ValueType {
	list := make([]abi.ValueType, 0, len(types))
	for _, t := range types {
		list = append(list, abi.ValueType(t.String()))
	}
	return list
}

func (m *Module) pages() uint32 {
	if m.goGuest {
		return m.host.o.MemoryPagesGo
	}
	return m.host.o.MemoryPages
}

// compile gives the module a runtime of its own, so that closing one module
// never touches another, and compiles the metered code.
func (m *Module) compile(ctx context.Context, metered []byte) (err error) {
	m.runtime = wazero.NewRuntimeWithConfig(ctx, m.host.runtimeConfig())
	if err := addHostFunctions(ctx, m.runtime, m.goGuest); err != nil {
		return fmt.Errorf("host functions: %w", err)
	}
	// A panic of the compiler on a module made for it must not end the process.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("module cannot be compiled: %s", sanitize(fmt.Sprint(r), 200))
		}
	}()
	m.compiled, err = m.runtime.CompileModule(ctx, metered)
	if err != nil {
		return fmt.Errorf("module is not valid: %s", sanitize(err.Error(), 300))
	}
	return nil
}

// readManifest runs an instance as far as its manifest.
func (m *Module) readManifest() error {
	g, err := m.newGuest(guestOptions{seed: 1})
	if err != nil {
		return err
	}
	defer g.close()
	text, err := g.readManifest()
	if err != nil {
		return err
	}
	m.manifest, err = parseManifest(text)
	if err != nil {
		return err
	}
	if err := m.checkKinds(); err != nil {
		return err
	}
	m.scores = m.manifest.Has(policies.KindEviction) && m.exports(abi.ExportScore)
	if m.scores && m.exports(abi.ExportEvict) && m.exports(abi.ExportEvents) {
		m.scores, err = m.probeForm()
	}
	return err
}

// probeForm asks a module with the exports of both forms of eviction which one
// it has: an SDK may export everything.
func (m *Module) probeForm() (scores bool, err error) {
	config, err := m.manifest.config(nil)
	if err != nil {
		return false, err
	}
	o := guestOptions{kind: policies.KindEviction, seed: 1, config: config, columns: true,
		capacity: policies.Capacity{Weight: 16, MaxSlots: 16}}
	g, err := m.start(o)
	if err != nil {
		return false, err
	}
	defer g.close()
	g.begin(0, 0, 0, 0)
	status, fault := g.call(g.exported(abi.ExportScore), m.budget(0), 0)
	if fault != nil {
		return false, fault
	}
	return status != int32(abi.StatusUnsupported), nil
}
