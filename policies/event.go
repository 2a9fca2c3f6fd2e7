package policies

// Op says what happened to an entry.
type Op uint8

// The operations of an [Event].
const (
	// OpHit: the entry was read. Hits may be lost under load (lossy rings),
	// all other events are not.
	OpHit Op = 1
	// OpInsert: a new entry took the slot. Carries an [Insert].
	OpInsert Op = 2
	// OpUpdate: the entry in the slot got another value, weight, TTL or cost.
	// Carries an [Insert].
	OpUpdate Op = 3
	// OpRemove: the entry left because it was deleted, replaced by nothing,
	// pinned (see [FlagPinned]) or evicted without this policy having named it.
	OpRemove Op = 4
	// OpExpire: the entry left because of its age.
	OpExpire Op = 5
	// OpMiss: a key without resident entry was asked for. Slot is [NoSlot].
	// Carries an [Insert] whose weight, TTL and cost may be 0 (unknown).
	OpMiss Op = 6
	// OpRestore: an entry that is already resident is made known to a policy
	// that has just been reset; coldest first. Carries an [Insert].
	OpRestore Op = 7
)

var opNames = [...]string{"0", "hit", "insert", "update", "remove", "expire", "miss", "restore"}

// String returns the lower-case name of the operation.
func (o Op) String() string {
	if int(o) < len(opNames) {
		return opNames[o]
	}
	return "unknown"
}

// HasInsert reports whether an event with this operation is accompanied by an
// [Insert] row.
func (o Op) HasInsert() bool {
	return o == OpInsert || o == OpUpdate || o == OpMiss || o == OpRestore
}

// Flags of an [Event] and of an [Insert].
const (
	// FlagPrefetched: the entry was loaded by a prefetch, not for a caller.
	FlagPrefetched = 1 << 0
	// FlagPinned: the removal is a pin; the entry stays resident but must not
	// be named as a victim. Unpinning is an insert.
	FlagPinned = 1 << 1
)

// Event is one row of the stream of accesses, 8 bytes, the same in Go and in
// a module's arena.
type Event struct {
	Slot  Slot   // the entry, or NoSlot
	Op    Op     // what happened
	Flags uint8  // FlagPrefetched, FlagPinned
	Class uint16 // load cost code: round(16*log2(1+cost in microseconds)); 0 unknown
}

// Insert accompanies each insert, update, restore and miss event, in their
// order; 24 bytes. Numbers that do not fit saturate.
type Insert struct {
	KeyHash        KeyHash
	Weight         uint32 // units of the cache's capacity: bytes or objects
	TTLMillis      uint32 // physical time to live; 0 = does not expire
	LoadCostMicros uint32 // time that loading took; 0 = unknown
	Flags          uint32 // as in Event
}

// Capacity is what an eviction policy may fill.
type Capacity struct {
	// Weight is the bound on the sum of weights of the residents, in the units
	// of [Insert].Weight (bytes or objects). Greater than 0.
	Weight int64
	// MaxSlots is the bound on slot numbers: every slot is below it.
	MaxSlots uint32
}
