package meter_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/perfopt/perfopt/hostabi/meter"
)

// oracle runs modules by wazero's interpreter.
type oracle struct {
	ctx     context.Context
	runtime wazero.Runtime
}

func newOracle(t testing.TB) *oracle {
	o := &oracle{ctx: context.Background()}
	o.runtime = wazero.NewRuntimeWithConfig(o.ctx, wazero.NewRuntimeConfigInterpreter().
		WithCoreFeatures(api.CoreFeaturesV2).WithMemoryLimitPages(256))
	t.Cleanup(func() { o.runtime.Close(o.ctx) })
	return o
}

// valid reports whether wazero accepts a module.
func (o *oracle) valid(module []byte) error {
	c, err := o.runtime.CompileModule(o.ctx, module)
	if err == nil {
		c.Close(o.ctx)
	}
	return err
}

func (o *oracle) instantiate(module []byte) (api.Module, error) {
	c, err := o.runtime.CompileModule(o.ctx, module)
	if err != nil {
		return nil, err
	}
	return o.runtime.InstantiateModule(o.ctx, c, wazero.NewModuleConfig().WithName("").WithStartFunctions())
}

var errFuel = errors.New("out of fuel")

// run calls an export with small numbers. A trap is an answer like another; out
// of fuel is an error.
func (o *oracle) run(mod api.Module, name string, args []uint64) (string, error) {
	fuel, metered := mod.ExportedGlobal(meter.FuelGlobal).(api.MutableGlobal)
	if metered {
		fuel.Set(200_000)
		mod.ExportedGlobal(meter.PagesGlobal).(api.MutableGlobal).Set(1 << 20)
	}
	results, err := mod.ExportedFunction(name).Call(o.ctx, args...)
	if metered && int64(fuel.Get()) < 0 {
		return "", errFuel
	}
	if err != nil {
		return "trap", nil
	}
	return fmt.Sprint(results), nil
}

// compare calls every export of the module and of its metered twin and compares
// answers, traps and memory. Nothing is compared from the first call on that
// runs out of fuel: the original might never return.
func (o *oracle) compare(t testing.TB, module, metered []byte, parsed *meter.Module) {
	if parsed.HasStart { // the twin runs it as an export, the original at once
		return
	}
	twin, err := o.instantiate(metered)
	if err != nil {
		return // a segment is out of bounds
	}
	defer twin.Close(o.ctx)
	original, err := o.instantiate(module)
	if err != nil {
		t.Fatalf("only the metered module can be instantiated: %v", err)
	}
	defer original.Close(o.ctx)
	for _, e := range parsed.Exports {
		if e.Kind != meter.ExternFunc || len(e.Type.Params) > 16 {
			continue
		}
		args := make([]uint64, 0, 16)
		for i, p := range e.Type.Params {
			if p != meter.I32 && p != meter.I64 && p != meter.F64 {
				break
			}
			args = append(args, map[bool]uint64{true: math.Float64bits(1.5), false: uint64(16 + i)}[p == meter.F64])
		}
		if len(args) != len(e.Type.Params) {
			continue
		}
		for range 2 {
			want, err := o.run(twin, e.Name, args)
			if err != nil {
				return
			}
			got, _ := o.run(original, e.Name, args)
			if got != want {
				t.Fatalf("%s(%v): the original answers %s, the metered module %s", e.Name, args, got, want)
			}
			if m := original.Memory(); parsed.HasMemory {
				a, _ := m.Read(0, m.Size())
				b, ok := twin.Memory().Read(0, m.Size())
				if !ok || !bytes.Equal(a, b) {
					t.Fatalf("%s(%v): memories differ", e.Name, args)
				}
			}
		}
	}
}

func TestMeteredModulesComputeTheSame(t *testing.T) {
	o := newOracle(t)
	compared := 0
	for name, module := range modules(t) {
		m, err := meter.Parse(module, meter.DefaultLimits())
		if err != nil || len(m.Imports) > 0 || o.valid(module) != nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			metered := m.Rewrite()
			if err := o.valid(metered); err != nil {
				t.Fatalf("the metered module is not valid: %v", err)
			}
			o.compare(t, module, metered, m)
			compared++
		})
	}
	if compared < 60 {
		t.Errorf("%d modules were compared, want at least 60", compared)
	}
}

// FuzzRewrite holds reader and rewriter to their promises: they never panic,
// a valid module stays valid, an invalid one stays invalid, and both compute
// the same.
func FuzzRewrite(f *testing.F) {
	for _, module := range modules(f) {
		f.Add(module)
	}
	limits := meter.DefaultLimits()
	limits.MemoryPages, limits.TableItems, limits.Bytes = 16, 1000, 64<<10
	f.Fuzz(func(t *testing.T, module []byte) {
		m, err := meter.Parse(module, limits)
		if err != nil {
			return
		}
		metered := m.Rewrite()
		o := newOracle(t)
		module = withoutCustom(module)
		before, after := o.valid(module), o.valid(metered)
		if (before == nil) != (after == nil) {
			t.Fatalf("the original: %v; the metered module: %v", before, after)
		}
		if before == nil && len(m.Imports) == 0 {
			o.compare(t, module, metered, m)
		}
	})
}

// withoutCustom returns a module that Parse has let pass without its custom
// sections: the metered module has none of them, or one that was checked, and
// wazero can be made to take gigabytes for a name section.
func withoutCustom(module []byte) []byte {
	out := bytes.Clone(module[:8])
	for rest := module[8:]; len(rest) > 0; {
		size, n := binary.Uvarint(rest[1:])
		end := 1 + n + int(size)
		if rest[0] != 0 {
			out = append(out, rest[:end]...)
		}
		rest = rest[end:]
	}
	return out
}
