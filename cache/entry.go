package cache

import (
	"time"

	"github.com/perfopt/perfopt/policies"
)

// An entry's last word holds its slot in the low slotBits and the moment of
// its expiry in the bits above, so that an entry of a 16-byte key and a
// 24-byte value fits the allocator's class of 48 bytes.
const (
	slotBits = 27
	slotMask = 1<<slotBits - 1

	// tick is the unit of expiry: 37 bits of it last four years.
	tick = time.Millisecond
	// neverTick is the expiry of an entry that does not expire.
	neverTick = 1<<(64-slotBits) - 1
)

// entry is what the index points to. It is immutable: a change of the value
// or of the expiry replaces it, so readers need no lock.
type entry[K comparable, V any] struct {
	key   K
	value V
	bits  uint64
}

func newEntry[K comparable, V any](key K, value V, expiry uint64) *entry[K, V] {
	return &entry[K, V]{key: key, value: value, bits: expiry << slotBits}
}

func (e *entry[K, V]) slot() policies.Slot { return policies.Slot(e.bits & slotMask) }
func (e *entry[K, V]) expiry() uint64      { return e.bits >> slotBits }

// Entry is a copy of what the cache holds of a key.
type Entry[K comparable, V any] struct {
	Key   K
	Value V
	// Weight is in the units of the capacity.
	Weight uint32
	// ExpiresIn is the time to live that is left; negative means that the
	// entry does not expire.
	ExpiresIn time.Duration
}

// Cause says why an entry left.
type Cause uint8

// The causes of a [Removal].
const (
	CauseEvicted  Cause = 1 // to make room
	CauseExpired  Cause = 2 // because of its age
	CauseDeleted  Cause = 3 // because a caller asked for it
	CauseReplaced Cause = 4 // another value took its place
)

// String returns the lower-case name of the cause.
func (c Cause) String() string {
	switch c {
	case CauseEvicted:
		return "evicted"
	case CauseExpired:
		return "expired"
	case CauseDeleted:
		return "deleted"
	case CauseReplaced:
		return "replaced"
	}
	return "unknown"
}

// Removal tells a listener what left and why.
type Removal[K comparable, V any] struct {
	Key   K
	Value V
	Cause Cause
}
