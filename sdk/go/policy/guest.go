package policy

import (
	"errors"
	"unsafe"
)

// guest answers the calls of a host: it finds the records of a call in the
// arena and hands them to the policy without copying them. One goroutine calls
// it, one call at a time. Nothing is allocated by a call, except by those that
// start an instance or move state.
type guest struct {
	manifest Manifest
	text     []byte // the manifest as the host reads it
	policy   any

	// What the policy decides; nil for what it does not.
	ttl      TTL
	scorer   Scorer
	orderer  Orderer
	prefetch Prefetch
	scaling  Scaling

	arena   []byte
	wanted  []Column
	batch   Batch
	events  Events
	outward []byte // state that is being exported: what the host has not had yet
	moving  bool   // an export is under way
	inward  []byte // chunks of state that have arrived
}

func newGuest(m Manifest, p any) (*guest, error) {
	g := &guest{manifest: m, policy: p, wanted: m.columns()}
	g.ttl, _ = p.(TTL)
	g.scorer, _ = p.(Scorer)
	g.orderer, _ = p.(Orderer)
	g.prefetch, _ = p.(Prefetch)
	g.scaling, _ = p.(Scaling)
	if len(g.kinds()) == 0 {
		return nil, errors.New("the policy decides nothing: want the methods of policy.TTL, Scorer, Orderer, Prefetch or Scaling")
	}
	if g.scorer != nil && g.orderer != nil {
		return nil, errors.New("the policy is both a policy.Scorer and a policy.Orderer: a cache has one order of eviction")
	}
	if _, ok := p.(Stateful); ok != (m.StateVersion != 0) {
		return nil, errors.New("Manifest.StateVersion and the methods of policy.Stateful go together: the policy has only one of them")
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	for i, x := range m.metrics() {
		x.id = int32(i)
	}
	if g.text = g.json(); len(g.text) > manifestMaxBytes {
		return nil, errors.New("manifest: larger than 8 KiB: shorten the texts of settings and metrics")
	}
	return g, nil
}

// handArena makes the arena: n bytes, aligned, for the life of the instance.
func (g *guest) handArena(n int32) []byte {
	if g.arena != nil || n < headerSize {
		return nil
	}
	block := make([]byte, int(n)+arenaAlign)
	skip := -int(uintptr(unsafe.Pointer(&block[0]))) & (arenaAlign - 1)
	g.arena = block[skip : skip+int(n)]
	return g.arena
}

// at returns the record of type T at an offset of the arena.
func at[T any](g *guest, offset uint32) *T {
	return (*T)(unsafe.Pointer(&g.arena[offset]))
}

// slice returns n records of type T from an offset of the arena on.
func slice[T any](g *guest, offset uint32, n int32) []T {
	if n == 0 {
		return nil
	}
	return unsafe.Slice(at[T](g, offset), n)
}

func (g *guest) in() uint32  { return *at[uint32](g, headerInOff) }
func (g *guest) out() uint32 { return *at[uint32](g, headerOutOff) }
func (g *guest) now() Nanos  { return *at[Nanos](g, headerNow) }

// align rounds up to where the next block of an in region starts.
func align(n uint32) uint32 { return (n + arenaAlign - 1) &^ (arenaAlign - 1) }

// readBatch points the batch at n rows of the arena.
func (g *guest) readBatch(n int32) *Batch {
	b, offset := &g.batch, g.in()
	stride := align(8 * *at[uint32](g, headerRowsCap))
	b.now, b.keys = g.now(), slice[KeyHash](g, offset, n)
	for _, c := range g.wanted {
		offset += stride
		b.columns[c] = unsafe.Slice(at[float64](g, offset), n)
	}
	return b
}

// readEvents points the events at n rows of the arena and their inserts.
func (g *guest) readEvents(n int32) *Events {
	e, offset := &g.events, g.in()
	inserts := offset + align(eventSize**at[uint32](g, headerRowsCap))
	e.now, e.rows = g.now(), slice[Event](g, offset, n)
	e.inserts = slice[Insert](g, inserts, int32(*at[uint32](g, headerCount)))
	return e
}

// start answers pf_init.
func (g *guest) start() int32 {
	in := g.in()
	text := string(slice[byte](g, in+initSize, int32(*at[uint32](g, in+initConfigLength))))
	c, err := NewConfig(g.manifest.Config, text, *at[uint64](g, headerSeed))
	if err != nil {
		Log(LevelError, err.Error())
		return statusBadInput
	}
	if p, ok := g.policy.(Init); ok {
		if err := p.Init(c); err != nil {
			return failed(err)
		}
	}
	g.outward, g.moving, g.inward = nil, false, nil
	if g.orderer != nil {
		return status(0, g.orderer.Reset(Capacity{
			Weight: *at[int64](g, in+initCapacity), MaxSlots: *at[uint32](g, in+initMaxSlots)}))
	}
	return 0
}

func (g *guest) decideTTL(n int32) int32 {
	if g.ttl == nil {
		return statusUnsupported
	}
	return status(n, g.ttl.TTL(g.readBatch(n), slice[float64](g, g.out(), n)))
}

func (g *guest) score(n int32) int32 {
	if g.scorer == nil {
		return statusUnsupported
	}
	return status(n, g.scorer.Score(g.readBatch(n), slice[float64](g, g.out(), n)))
}

func (g *guest) observe(n int32) int32 {
	switch {
	case g.orderer != nil:
		return status(n, g.orderer.Observe(g.readEvents(n)))
	case g.prefetch != nil:
		return status(n, g.prefetch.Observe(g.readEvents(n)))
	}
	return statusUnsupported
}

func (g *guest) evict(want int32) int32 {
	if g.orderer == nil {
		return statusUnsupported
	}
	n, err := g.orderer.Victims(*at[int64](g, g.in()+evictNeed), slice[Slot](g, g.out(), want))
	return status(int32(n), err)
}

func (g *guest) propose(n int32) int32 {
	if g.prefetch == nil {
		return statusUnsupported
	}
	budget := int32(*at[uint32](g, headerCount))
	k, err := g.prefetch.Propose(g.readBatch(n), slice[KeyHash](g, g.out(), budget))
	return status(int32(k), err)
}

func (g *guest) scale() int32 {
	if g.scaling == nil {
		return statusUnsupported
	}
	limit, reason, err := g.scaling.Limit(at[Load](g, g.in()))
	*at[float64](g, g.out()+scaleOutLimit) = limit
	*at[Reason](g, g.out()+scaleOutReason) = reason
	return status(0, err)
}

// exportState answers pf_export_state: the next chunk of at most limit bytes.
func (g *guest) exportState(limit int32) int32 {
	p, ok := g.policy.(Stateful)
	if !ok {
		return statusUnsupported
	}
	if !g.moving {
		state, err := p.ExportState(nil)
		if err != nil {
			return failed(err)
		}
		g.outward, g.moving = state, true
	}
	n := copy(slice[byte](g, g.out(), limit), g.outward)
	g.outward = g.outward[n:]
	if n < int(limit) {
		g.outward, g.moving = nil, false
	}
	return int32(n)
}

// importState answers pf_import_state: a chunk shorter than the out region
// ends the state.
func (g *guest) importState(n int32, version uint32) int32 {
	p, ok := g.policy.(Stateful)
	if !ok {
		return statusUnsupported
	}
	g.inward = append(g.inward, slice[byte](g, g.in(), n)...)
	if uint32(n) >= *at[uint32](g, headerOutCap) {
		return n
	}
	state := g.inward
	g.inward = nil
	return status(n, p.ImportState(state, version))
}

// status is what a call returns: n, or what the error means.
func status(n int32, err error) int32 {
	if err == nil {
		return n
	}
	return failed(err)
}

// failed compares errors as they are: looking at wrapped ones costs more than
// the budget of a small call.
func failed(err error) int32 {
	if err == ErrWarmingUp {
		return statusWarmingUp
	}
	Log(LevelError, err.Error())
	switch err {
	case ErrBadInput:
		return statusBadInput
	case ErrUnsupported:
		return statusUnsupported
	}
	return statusInternalError
}
