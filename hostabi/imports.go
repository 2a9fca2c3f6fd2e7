package hostabi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"

	"github.com/hashicorp/go-hclog"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/perfopt/perfopt/hostabi/abi"
)

// errFuel unwinds a guest that has no fuel left for a host function.
var errFuel = errors.New("out of fuel")

// addHostFunctions adds to a runtime what its module may import.
func addHostFunctions(ctx context.Context, r wazero.Runtime, wasi bool) error {
	b := r.NewHostModuleBuilder(abi.ImportModule)
	add(b, abi.Imports(), map[string]hostFunction{
		abi.ImportLog:    (*guest).importLog,
		abi.ImportMetric: (*guest).importMetric,
	})
	if _, err := b.Instantiate(ctx); err != nil || !wasi {
		return err
	}
	b = r.NewHostModuleBuilder(abi.ImportWASI)
	add(b, abi.WASI(), wasiFunctions())
	_, err := b.Instantiate(ctx)
	return err
}

// hostFunction reads its parameters from the stack and leaves its result
// there. A panic in it traps the guest.
type hostFunction func(g *guest, mem api.Memory, stack []uint64)

func add(b wazero.HostModuleBuilder, functions []abi.Function, calls map[string]hostFunction) {
	for _, f := range functions {
		call := calls[f.Name]
		run := func(ctx context.Context, mod api.Module, stack []uint64) {
			g := ctx.Value(guestKey{}).(*guest)
			g.charge()
			call(g, mod.Memory(), stack)
		}
		b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(run), wazeroTypes(f.Params), wazeroTypes(f.Results)).Export(f.Name)
	}
}

func wazeroTypes(types []abi.ValueType) []api.ValueType {
	list := make([]api.ValueType, 0, len(types))
	for _, t := range types {
		list = append(list, map[abi.ValueType]api.ValueType{
			abi.I32: api.ValueTypeI32, abi.I64: api.ValueTypeI64, abi.F64: api.ValueTypeF64}[t])
	}
	return list
}

// charge takes the price of a host function out of the guest's fuel. It is
// done here and not in the module's code, because an indirect call ends here
// too.
func (g *guest) charge() {
	left := int64(g.fuel.Get()) - g.m.host.o.Fuel.Host
	g.fuel.Set(uint64(left))
	if left < 0 {
		panic(errFuel)
	}
}

func (g *guest) importLog(mem api.Memory, stack []uint64) {
	level, address, length := int32(stack[0]), uint32(stack[1]), uint32(stack[2])
	text, ok := mem.Read(address, min(length, abi.LogLineMaxBytes))
	if !ok {
		panic(fmt.Errorf("log: %d bytes at %#x are outside of the module's memory", length, address))
	}
	g.log.write(level, text)
}

// importMetric ignores values that a metric cannot have.
func (g *guest) importMetric(_ api.Memory, stack []uint64) {
	id, v := int32(stack[0]), math.Float64frombits(stack[1])
	list := g.m.manifest.Metrics
	if id < 0 || int(id) >= len(list) {
		panic(fmt.Errorf("metric: %d of %d declared ones", id, len(list)))
	}
	if math.IsNaN(v) || math.IsInf(v, 0) || list[id].Type == "counter" && v < 0 || g.o.metric == nil {
		return
	}
	g.o.metric(list[id].Name, v)
}

// lineLog passes on a guest's lines, at most burst at once and linesPerSecond
// in the long run, made harmless.
type lineLog struct {
	logger  hclog.Logger
	last    string // the last line, for faults
	credit  float64
	filled  time.Time
	dropped int
}

const (
	linesPerSecond = 20
	lineBurst      = 100
)

func (l *lineLog) write(level int32, text []byte) {
	// Real time, because it is a reader's disk and patience that is spared.
	now := time.Now()
	if l.filled.IsZero() {
		l.credit = lineBurst
	} else {
		l.credit = min(l.credit+now.Sub(l.filled).Seconds()*linesPerSecond, lineBurst)
	}
	l.filled = now
	if l.credit < 1 {
		l.dropped++
		return
	}
	l.credit--
	l.last = sanitize(string(text), abi.LogLineMaxBytes)
	var args []any
	if l.dropped > 0 {
		args = []any{"dropped_lines", l.dropped}
		l.dropped = 0
	}
	levels := []hclog.Level{hclog.Trace, hclog.Debug, hclog.Info, hclog.Warn, hclog.Error}
	at := hclog.Info
	if level >= 0 && int(level) < len(levels) {
		at = levels[level]
	}
	l.logger.Log(at, l.last, args...)
}

// sanitize makes text of a module fit for a line of a log or a terminal: valid
// UTF-8, no control characters, at most limit bytes.
func sanitize(s string, limit int) string {
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		piece := string(r)
		if !unicode.IsPrint(r) && r != '\uFFFD' {
			piece = fmt.Sprintf(`\u%04x`, r)
			if r < 0x80 {
				piece = fmt.Sprintf(`\x%02x`, r)
			}
		}
		if b.Len()+len(piece) > limit {
			break
		}
		b.WriteString(piece)
	}
	return b.String()
}

// written keeps the beginning of what a call wrote to standard output and
// error: a Go guest that panics says there why, and then where.
type written struct{ text []byte }

const writtenBytes = 256

func (w *written) write(p []byte) {
	w.text = append(w.text, p[:min(len(p), writtenBytes-len(w.text))]...)
}

// note returns what was written as one line to end an error with, or nothing.
func (w *written) note() string {
	text := strings.ToValidUTF8(string(w.text), "")
	if text = strings.Join(strings.Fields(text), " "); text != "" {
		return "; it wrote: " + text
	}
	return ""
}
