package features

import (
	"math"
	"math/bits"
	"sync/atomic"

	"github.com/perfopt/perfopt/policies"
)

// record is the past of one key, 24 bytes. A slot's record is written by
// maintenance and read by anyone.
type record struct {
	hash atomic.Uint64
	use  atomic.Uint64 // see use
	rest atomic.Uint64 // see rest
}

// use is the word that every access writes: last access (26 bits), fast rate
// (13), slow rate (13) and count (12) as codes of package-wide scale.
type use uint64

const (
	tickBits = 26
	tickMask = 1<<tickBits - 1
	codeBits = 13
	codeMask = 1<<codeBits - 1
)

func makeUse(tick, fast, slow, count uint64) use {
	return use(tick | fast<<26 | slow<<39 | count<<52)
}

func (u use) tick() uint64  { return uint64(u) & tickMask }
func (u use) fast() uint64  { return uint64(u) >> 26 & codeMask }
func (u use) slow() uint64  { return uint64(u) >> 39 & codeMask }
func (u use) count() uint64 { return uint64(u) >> 52 }

// rest is the word that changes with writes and with misses: epoch of the last
// access (17 bits), weight (10), load cost class (10), deadline (22), flags.
type rest uint64

const (
	epochBits    = 17
	epochMask    = 1<<epochBits - 1
	epochShift   = 0
	weightShift  = 17
	costShift    = 27
	dueShift     = 37
	tenBits      = 1<<10 - 1
	dueBits      = 22
	dueMask      = 1<<dueBits - 1
	flagHeld     = 1 << 59 // the record is in use: resident, or kept in the recent-key store
	flagMissed   = 1 << 60 // the last access was a miss that no insert followed yet
	flagsOfReuse = flagHeld | flagMissed
)

func (r rest) epoch() uint64  { return uint64(r) & epochMask }
func (r rest) weight() uint32 { return decodeWeight(uint32(r >> weightShift & tenBits)) }
func (r rest) class() uint32  { return uint32(r >> costShift & tenBits) }
func (r rest) due() uint64    { return uint64(r) >> dueShift & dueMask }
func (r rest) held() bool     { return r&flagHeld != 0 }
func (r rest) missed() bool   { return r&flagMissed != 0 }

func (r rest) withEpoch(e uint64) rest { return r&^epochMask | rest(e) }

// withEntry replaces what a write says about the entry.
func (r rest) withEntry(now policies.Nanos, in *policies.Insert) rest {
	r &= epochMask | flagsOfReuse
	return r | rest(encodeWeight(in.Weight))<<weightShift | rest(costClass(in.LoadCostMicros))<<costShift |
		rest(encodeDue(now, in.TTLMillis))<<dueShift
}

// Ticks are sixteenths of a second, modulo 2^26 (48 days).
const tickNanos = 1e9 / 16

func tickOf(now policies.Nanos) uint64 { return uint64(now/tickNanos) & tickMask }

// ticksSince returns the ticks from then to now; 0 where then lies ahead.
func ticksSince(now, then uint64) int64 {
	d := (now - then) & tickMask
	if d >= 1<<(tickBits-1) {
		return 0
	}
	return int64(d)
}

// encodeWeight keeps a weight as a floating-point number of five exponent and
// five fraction bits: exact up to 63, within 1.6 % above.
func encodeWeight(w uint32) uint32 {
	if w < 32 {
		return w
	}
	e := uint32(bits.Len32(w)) - 6
	m := uint64(w)
	if e > 0 {
		m = (m + 1<<(e-1)) >> e
		if m == 64 {
			m, e = 32, e+1
		}
	}
	return min((e+1)<<5|uint32(m)&31, tenBits)
}

func decodeWeight(code uint32) uint32 {
	if code < 32 {
		return code
	}
	w := uint64(32|code&31) << (code>>5 - 1)
	return uint32(min(w, math.MaxUint32))
}

// costClass is the load cost code of [policies.Event].Class.
func costClass(micros uint32) uint32 {
	if micros == 0 {
		return 0
	}
	return uint32(math.Round(16 * math.Log2(1+float64(micros))))
}

// classMillis returns the load cost of a code in milliseconds.
func classMillis(class uint32) float64 {
	if class == 0 {
		return 0
	}
	return (math.Exp2(float64(class)/16) - 1) / 1000
}

// Deadlines are seconds modulo 2^22 (48 days); 0 means never. A lifetime over
// 45 days is kept as 45 days.
const maxLifetimeSeconds = 45 * 24 * 3600

func encodeDue(now policies.Nanos, ttlMillis uint32) uint64 {
	if ttlMillis == 0 {
		return 0
	}
	life := min(uint64(ttlMillis), maxLifetimeSeconds*1000)
	due := (uint64(now/1e6) + life + 500) / 1000 & dueMask
	return max(due, 1)
}

// secondsLeft returns the seconds from now to a deadline; negative after it.
func secondsLeft(now policies.Nanos, due uint64) float64 {
	if due == 0 {
		return math.Inf(1)
	}
	whole := now / 1e9
	d := (due - uint64(whole)) & dueMask
	left := float64(d)
	if d > maxLifetimeSeconds+1 {
		left -= dueMask + 1
	}
	return left - float64(now-whole*1e9)/1e9
}
