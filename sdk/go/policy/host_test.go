package policy

import (
	"testing"
	"unsafe"
)

// host calls a guest as a real host does: through records in the arena.
type host struct {
	g     *guest
	arena []byte
	rows  uint32
}

const hostInCap, hostOutCap = 64 << 10, 256

func newHost(t *testing.T, m Manifest, p any) *host {
	t.Helper()
	g, err := newGuest(m, p)
	if err != nil {
		t.Fatal(err)
	}
	h := &host{g: g, rows: uint32(m.maxBatch())}
	h.arena = g.handArena(headerSize + hostInCap + hostOutCap)
	if h.arena == nil {
		t.Fatal("the guest refused an arena")
	}
	if uintptr(unsafe.Pointer(&h.arena[0]))%arenaAlign != 0 {
		t.Fatal("the arena is not aligned")
	}
	put(h, headerInOff, uint32(headerSize))
	put(h, headerInCap, uint32(hostInCap))
	put(h, headerOutOff, uint32(headerSize+hostInCap))
	put(h, headerOutCap, uint32(hostOutCap))
	put(h, headerRowsCap, h.rows)
	put(h, headerNow, int64(12345))
	put(h, headerSeed, uint64(99))
	return h
}

func put[T any](h *host, offset uint32, v T) { *(*T)(unsafe.Pointer(&h.arena[offset])) = v }

func (h *host) in(offset uint32) uint32 { return headerSize + offset }

func get[T any](h *host, i int) T {
	var z T
	return *(*T)(unsafe.Pointer(&h.arena[headerSize+hostInCap+i*int(unsafe.Sizeof(z))]))
}

func (h *host) start(capacity int64, slots uint32, config string) int32 {
	put(h, h.in(initCapacity), capacity)
	put(h, h.in(initMaxSlots), slots)
	put(h, h.in(initConfigLength), uint32(len(config)))
	copy(h.arena[h.in(initSize):], config)
	return h.g.start()
}

// column writes column k (0 is the key hashes) of a batch.
func column[T any](h *host, k uint32, values ...T) {
	for i, v := range values {
		put(h, h.in(k*align(8*h.rows)+8*uint32(i)), v)
	}
}

func (h *host) events(events []Event, inserts []Insert) int32 {
	for i, e := range events {
		put(h, h.in(uint32(i)*eventSize), e)
	}
	for i, in := range inserts {
		put(h, h.in(align(eventSize*h.rows)+uint32(i)*insertSize), in)
	}
	put(h, headerCount, uint32(len(inserts)))
	return h.g.observe(int32(len(events)))
}
