package hostabi

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/perfopt/perfopt/hostabi/abi"
	"github.com/perfopt/perfopt/hostabi/meter"
	"github.com/perfopt/perfopt/policies"
)

// guestOptions is what an instance is started with.
type guestOptions struct {
	kind     policies.Kind
	now      policies.Nanos // of the start
	seed     uint64
	flags    uint32
	config   []byte
	capacity policies.Capacity
	columns  bool // the kind reads columns
	events   bool // the kind reads events
	logger   hclog.Logger
	metric   func(name string, v float64)
}

// guest is one instance of a module and its arena. One goroutine at a time.
type guest struct {
	m   *Module
	o   guestOptions
	ctx context.Context // carries the guest to the host functions
	mod api.Module
	mem api.Memory

	fuel, pages api.MutableGlobal
	// decide is the export of the kind's decision, events the one that observes.
	decide, events api.Function
	stack          [2]uint64

	arena, size           uint32
	inOff, inCap          uint32
	outOff, outCap        uint32
	stride, insertsOffset uint32
	header                [abi.HeaderSize]byte
	view                  []byte // the arena; valid during a call

	now      policies.Nanos // of the present call; the guest's clock
	slept    policies.Nanos // by which sleeping has moved the guest's clock
	sequence uint64
	used     uint64 // fuel
	random   random
	log      lineLog
	stderr   written
}

type guestKey struct{}

// newGuest instantiates the module and runs its start function and
// _initialize.
func (m *Module) newGuest(o guestOptions) (_ *guest, err error) {
	if o.logger == nil {
		o.logger = m.host.o.Logger
	}
	g := &guest{m: m, o: o, now: o.now, random: random{state: o.seed}}
	g.log = lineLog{logger: o.logger.With("policy", m.manifest.Name)}
	g.ctx = context.WithValue(context.Background(), guestKey{}, g)
	// No name, so that there can be many; no start functions, because wazero
	// would run _start. The module's own start is an export now.
	g.mod, err = m.runtime.InstantiateModule(g.ctx, m.compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		return nil, m.fault(o.kind, policies.FaultTrap, "cannot be instantiated: "+sanitize(firstLines(err), 300))
	}
	defer func() {
		if err != nil {
			g.close()
		}
	}()
	g.mem = g.mod.Memory()
	var ok1, ok2 bool
	g.fuel, ok1 = g.mod.ExportedGlobal(meter.FuelGlobal).(api.MutableGlobal)
	g.pages, ok2 = g.mod.ExportedGlobal(meter.PagesGlobal).(api.MutableGlobal)
	if !ok1 || !ok2 {
		return nil, errors.New("module was not metered")
	}
	g.pages.Set(uint64(g.allowance()))
	for _, name := range []string{meter.StartFunction, abi.ExportInitialize} {
		if f := g.exported(name); f != nil {
			if _, fault := g.call(f, m.host.o.Fuel.Init); fault != nil {
				return nil, fault
			}
		}
	}
	return g, nil
}

// start makes a guest that is ready to decide: instantiated, with an arena,
// initialised.
func (m *Module) start(o guestOptions) (*guest, error) {
	g, err := m.newGuest(o)
	if err != nil {
		return nil, err
	}
	if err := g.takeArena(); err != nil {
		g.close()
		return nil, err
	}
	if err := g.init(); err != nil {
		g.close()
		return nil, err
	}
	g.decide = g.exported(m.decision(o.kind))
	g.events = g.exported(abi.ExportEvents)
	return g, nil
}

// decision is the name of the export that decides a kind.
func (m *Module) decision(k policies.Kind) string {
	switch {
	case k == policies.KindTTL:
		return abi.ExportTTL
	case k == policies.KindPrefetch:
		return abi.ExportPrefetch
	case k == policies.KindScaling:
		return abi.ExportScale
	case m.scores:
		return abi.ExportScore
	}
	return abi.ExportEvict
}

func (g *guest) close() { _ = g.mod.Close(g.ctx) } // in memory only, cannot fail

func (g *guest) exported(name string) api.Function { return g.mod.ExportedFunction(name) }

// readManifest copies the manifest out of the guest's memory.
func (g *guest) readManifest() ([]byte, error) {
	f := g.exported(abi.ExportManifest)
	if _, fault := g.call(f, g.m.host.o.Fuel.Init); fault != nil {
		return nil, fault
	}
	address, length := uint32(g.stack[0]>>32), uint32(g.stack[0])
	if length == 0 {
		return nil, errors.New("manifest is empty")
	}
	if length > abi.ManifestMaxBytes {
		return nil, fmt.Errorf("manifest has %d bytes, want at most %d", length, abi.ManifestMaxBytes)
	}
	text, ok := g.mem.Read(address, length)
	if !ok {
		return nil, fmt.Errorf("manifest at %#x with %d bytes is outside of the module's memory", address, length)
	}
	return append([]byte(nil), text...), nil
}

// takeArena asks for the arena, once, and lays it out for the kind.
func (g *guest) takeArena() error {
	rows := g.m.manifest.MaxBatch
	g.stride, g.insertsOffset = abi.ColumnStride(rows), abi.InsertsOffset(rows)
	in := max(abi.InitConfig+uint32(len(g.o.config)), abi.EvictSize, abi.LoadSize)
	if g.o.columns {
		in = max(in, g.stride*uint32(1+len(g.m.manifest.Features)))
	}
	if g.o.events {
		in = max(in, g.insertsOffset+abi.InsertSize*rows)
	}
	out := max(8*rows, abi.ScaleOutSize)
	if g.m.manifest.StateVersion != 0 {
		out = max(out, abi.StateChunkBytes)
		in = max(in, out)
	}
	g.inOff, g.inCap = abi.HeaderSize, abi.Align(in)
	g.outOff, g.outCap = g.inOff+g.inCap, abi.Align(out)
	g.size = g.outOff + g.outCap
	status, fault := g.call(g.exported(abi.ExportArena), g.m.host.o.Fuel.Init, uint64(g.size))
	if fault != nil {
		return fault
	}
	g.arena = uint32(status)
	switch {
	case g.arena == 0:
		return g.failed(policies.FaultStatus, fmt.Sprintf("%s refused an arena of %d bytes", abi.ExportArena, g.size))
	case g.arena%abi.ArenaAlign != 0:
		return g.failed(policies.FaultOutput, fmt.Sprintf("%s returned %#x, want a multiple of %d", abi.ExportArena, g.arena, abi.ArenaAlign))
	case uint64(g.arena)+uint64(g.size) > uint64(g.mem.Size()):
		return g.failed(policies.FaultOutput, fmt.Sprintf("%s returned %#x: %d bytes from there leave the module's memory", abi.ExportArena, g.arena, g.size))
	}
	h := g.header[:]
	binary.LittleEndian.PutUint32(h[abi.HeaderMagic:], abi.Magic)
	binary.LittleEndian.PutUint16(h[abi.HeaderMajor:], abi.Major)
	binary.LittleEndian.PutUint16(h[abi.HeaderMinor:], abi.Minor)
	binary.LittleEndian.PutUint32(h[abi.HeaderInOff:], g.inOff)
	binary.LittleEndian.PutUint32(h[abi.HeaderInCap:], g.inCap)
	binary.LittleEndian.PutUint32(h[abi.HeaderOutOff:], g.outOff)
	binary.LittleEndian.PutUint32(h[abi.HeaderOutCap:], g.outCap)
	binary.LittleEndian.PutUint64(h[abi.HeaderSeed:], g.o.seed)
	binary.LittleEndian.PutUint32(h[abi.HeaderRowsCap:], rows)
	return nil
}

// init runs pf_init; afterwards the memory stays as it is.
func (g *guest) init() error {
	g.begin(g.now, 0, 0, 0)
	in := g.in()
	binary.LittleEndian.PutUint64(in[abi.InitCapacity:], uint64(g.o.capacity.Weight))
	binary.LittleEndian.PutUint32(in[abi.InitMaxSlots:], g.o.capacity.MaxSlots)
	binary.LittleEndian.PutUint32(in[abi.InitConfigLength:], uint32(len(g.o.config)))
	copy(in[abi.InitConfig:], g.o.config)
	f := &g.m.host.o.Fuel
	status, fault := g.call(g.exported(abi.ExportInit), f.Init+f.Slot*int64(g.o.capacity.MaxSlots))
	if fault != nil {
		return fault
	}
	if status < 0 && status != int32(abi.StatusWarmingUp) {
		return g.status(abi.ExportInit, status)
	}
	if !g.m.goGuest { // a Go guest's heap grows when it likes
		g.pages.Set(0)
	}
	return nil
}

// allowance is the number of pages by which the guest may grow: to its limit,
// which is higher for an order of many slots.
func (g *guest) allowance() int64 {
	limit := int64(g.m.pages()) + int64(g.o.capacity.MaxSlots)*abi.SlotBytes>>16
	return max(limit-int64(g.mem.Size()>>16), 0)
}

// begin writes the header of a call and takes a view of the arena, which is
// valid until the next call: the memory may move when it grows.
func (g *guest) begin(now policies.Nanos, n, count int, flags uint32) {
	g.now = max(now, g.now)
	h := g.header[:]
	binary.LittleEndian.PutUint64(h[abi.HeaderNow:], uint64(now))
	binary.LittleEndian.PutUint64(h[abi.HeaderSequence:], g.sequence)
	binary.LittleEndian.PutUint32(h[abi.HeaderN:], uint32(n))
	binary.LittleEndian.PutUint32(h[abi.HeaderFlags:], g.o.flags|flags)
	binary.LittleEndian.PutUint32(h[abi.HeaderCount:], uint32(count))
	g.sequence++
	g.view, _ = g.mem.Read(g.arena, g.size) // memories never shrink
	copy(g.view, h)
}

func (g *guest) in() []byte { return g.view[g.inOff : g.inOff+g.inCap] }

// out returns the out region after a call.
func (g *guest) out() []byte {
	g.view, _ = g.mem.Read(g.arena, g.size)
	return g.view[g.outOff : g.outOff+g.outCap]
}

// call runs an export with a budget and returns its first result as i32. After
// a fault the guest must be closed.
func (g *guest) call(f api.Function, budget int64, args ...uint64) (int32, *policies.Fault) {
	copy(g.stack[:], args)
	g.stderr.text = g.stderr.text[:0]
	g.fuel.Set(uint64(budget))
	err := f.CallWithStack(g.ctx, g.stack[:])
	left := int64(g.fuel.Get())
	g.used += uint64(budget - max(left, 0))
	if err == nil {
		return int32(uint32(g.stack[0])), nil
	}
	return 0, g.trapped(f, err, budget, left)
}

// trapped turns the error of a call into a fault.
func (g *guest) trapped(f api.Function, err error, budget, left int64) *policies.Fault {
	name := f.Definition().ExportNames()[0]
	if name == meter.StartFunction {
		name = "the start function"
	}
	switch {
	case int64(g.pages.Get()) < 0:
		return g.failed(policies.FaultMemory, fmt.Sprintf("%s wanted to grow a memory of %d pages by more than it may", name, g.mem.Size()>>16))
	case left < 0:
		// A Go guest that panics may use up the rest by saying so.
		return g.failed(policies.FaultFuel, fmt.Sprintf("%s used up its %d units of fuel", name, budget)+g.stderr.note())
	}
	detail := name + " trapped: "
	if note := g.stderr.note(); note != "" {
		first, _, _ := strings.Cut(err.Error(), "\n")
		detail += first + note
	} else {
		detail += firstLines(err)
	}
	return g.failed(policies.FaultTrap, detail)
}

// status turns a negative status into a fault.
func (g *guest) status(export string, status int32) *policies.Fault {
	detail := fmt.Sprintf("%s returned %d (%s)", export, status, abi.Status(status))
	if line := g.log.last; line != "" {
		detail += "; it logged: " + line
	}
	return g.failed(policies.FaultStatus, detail)
}

func (g *guest) failed(reason policies.FaultReason, detail string) *policies.Fault {
	return g.m.fault(g.o.kind, reason, detail)
}

func (m *Module) fault(kind policies.Kind, reason policies.FaultReason, detail string) *policies.Fault {
	name := m.manifest.Name
	if name == "" {
		name = m.digest[:12]
	}
	return &policies.Fault{Policy: name, Kind: kind, Reason: reason, Detail: sanitize(detail, 600)}
}

// firstLines joins wazero's message with the innermost frames of its stack.
func firstLines(err error) string {
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	lines = lines[:min(len(lines), 5)]
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, " ")
}
