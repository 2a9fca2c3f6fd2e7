package features

import (
	"sync/atomic"

	"github.com/perfopt/perfopt/policies"
)

// chunkSlots is the number of records that are allocated at once: 24 KiB.
const chunkSlots = 1 << chunkBits

const chunkBits = 10

type chunk [chunkSlots]record

// store is a growing array of records by slot. Maintenance grows it; readers
// see the directory as it was when they loaded it.
type store struct {
	directory atomic.Pointer[[]*chunk]
}

// at returns the record of a slot, nil where none was allocated.
func (s *store) at(slot policies.Slot) *record {
	d := s.directory.Load()
	if d == nil {
		return nil
	}
	return recordIn(*d, slot)
}

func recordIn(chunks []*chunk, slot policies.Slot) *record {
	i := uint(slot) >> chunkBits
	if i >= uint(len(chunks)) || chunks[i] == nil {
		return nil
	}
	return &chunks[i][slot%chunkSlots]
}

func (s *store) chunks() []*chunk {
	if d := s.directory.Load(); d != nil {
		return *d
	}
	return nil
}

// grow returns the record of a slot, allocated if need be.
func (s *store) grow(slot policies.Slot) *record {
	chunks := s.chunks()
	if r := recordIn(chunks, slot); r != nil {
		return r
	}
	i := int(slot >> chunkBits)
	grown := make([]*chunk, max(len(chunks), i+1))
	copy(grown, chunks)
	grown[i] = new(chunk)
	s.directory.Store(&grown)
	return &grown[i][slot%chunkSlots]
}
