package policy

import "errors"

// TTL decides how long entries stay fresh.
//
// TTL must be a pure function of its columns: a host may use several instances.
type TTL interface {
	// TTL writes a lifetime in seconds for each row of b, len(out) of them. The
	// host clamps it to the row's [MinTTL] and [MaxTTL]; NaN, infinity and
	// negative numbers are faults.
	TTL(b *Batch, out []float64) error
}

// Scorer decides evictions by scoring a sample of the resident entries.
type Scorer interface {
	// Score writes a score for each row of b, len(out) of them: the lowest goes
	// first. NaN is a fault.
	Score(b *Batch, out []float64) error
}

// Orderer decides evictions from the stream of accesses: it keeps an order of
// the resident entries, which it knows by their slots.
type Orderer interface {
	// Reset makes the policy empty and ready for a cache of that capacity. It
	// is called before anything else, after Init, and again at any time.
	Reset(c Capacity) error
	// Observe shows what happened since the last call.
	Observe(e *Events) error
	// Victims names entries to evict, the most evictable first, until their
	// weights reach need or out is full, and returns how many. A named entry
	// has left the order: no remove event follows. The newest entry may be
	// named: that refuses it admission. Every victim must be resident, and none
	// named twice; fewer than needed is allowed.
	Victims(need int64, out []Slot) (n int, err error)
}

// Prefetch decides what to load before it is asked for.
type Prefetch interface {
	// Observe shows what happened since the last call, misses included.
	Observe(e *Events) error
	// Propose writes the keys to load, the best first, and returns how many;
	// len(out) is the budget. Only keys of b and of observed events may be
	// proposed.
	Propose(b *Batch, out []KeyHash) (n int, err error)
}

// Scaling decides how much work may be in flight.
type Scaling interface {
	// Limit returns the next limit and why, once a tick. The host clamps it to
	// [Load.MinLimit] and [Load.MaxLimit] and to half and one and a half times
	// the present limit; NaN and infinity are faults.
	Limit(in *Load) (limit float64, reason Reason, err error)
}

// Init is implemented by policies that have settings, memory to size or
// randomness to seed.
type Init interface {
	// Init is called before the first decision, and again whenever the host
	// wants the policy as fresh: it must leave nothing of the former life. An
	// error refuses the policy.
	Init(c *Config) error
}

// Stateful is implemented by policies whose learnt state can be handed to a
// successor; [Manifest].StateVersion must not be 0 then.
type Stateful interface {
	// ExportState appends the state to dst and returns the extended slice.
	ExportState(dst []byte) ([]byte, error)
	// ImportState replaces the state by one that was exported under the given
	// version. state is valid during the call only. After an error the policy
	// is as fresh.
	ImportState(state []byte, version uint32) error
}

// Capacity is what an eviction policy may fill.
type Capacity struct {
	Weight   int64  // bound on the sum of weights of the residents: bytes or objects
	MaxSlots uint32 // every slot is below it
}

// Errors with a meaning of their own. They are returned as they are, not
// wrapped; any other error is logged and reported as an internal one.
var (
	// ErrWarmingUp says that the policy has no opinion yet: the host decides by
	// itself, and it is not a fault.
	ErrWarmingUp = errors.New("warming up")
	// ErrBadInput says that the input or a setting cannot be used.
	ErrBadInput = errors.New("bad input")
	// ErrUnsupported says that the policy does not decide such a thing.
	ErrUnsupported = errors.New("unsupported")
)
