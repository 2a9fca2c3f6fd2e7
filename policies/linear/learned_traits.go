package linear

import (
	"math"
	"math/bits"

	"github.com/perfopt/perfopt/policies"
)

// record is what the model knows of a resident.
type record struct {
	key  uint32 // 32 bits of the key's hash
	at   uint32 // the clock at its last access
	bits traits
}

func (r *record) held() bool { return r.bits&isHeld != 0 }

// keyOf spreads the hash of a key over 32 bits.
func keyOf(h policies.KeyHash) uint32 {
	x := uint64(h)
	x ^= x >> 32
	return uint32(x * 0x9E3779B97F4A7C15 >> 32)
}

// traits are the features of a key but for its age, packed:
//
//	bits 0-3   class of the last gap; 0 = none
//	     4-7   class of the gap before
//	     8-13  accesses known, up to 63
//	    14-16  hits since it entered, up to 3; 4 is added if it entered as a ghost
//	    17-20  share of never-known keys among the accesses at its last one
//	    21-28  moment of the first access since it became a sample
//	    29-30  its sample: none, pending, or accessed since
//	    31     a record: resident; a ghost: it returned
type traits uint32

const (
	shiftCount  = 8
	maskCount   = 63 << shiftCount
	shiftHits   = 14
	maskHits    = 3 << shiftHits
	isReturned  = 4 << shiftHits
	shiftFresh  = 17
	maskFresh   = 15 << shiftFresh
	shiftMoment = 21
	maskMoment  = 255 << shiftMoment
	maskState   = traits(3 << 29)
	isPending   = traits(1 << 29)
	isAccessed  = traits(2 << 29)
	isHeld      = traits(1 << 31)
)

// newTraits are those of a key at its first access.
func newTraits() traits { return 1 << shiftCount }

func (b traits) moment() uint8 { return uint8(b >> shiftMoment) }

// accessed takes in one more access of a key last accessed at that time.
func (b traits) accessed(c *clock, at uint32) traits {
	gaps := b<<4&0xF0 | traits(c.gapClass(c.now-at))
	if b&maskCount < maskCount {
		b += 1 << shiftCount
	}
	if b&maskState == isPending {
		b = b&^(maskState|maskMoment) | isAccessed | traits(c.moment())<<shiftMoment
	}
	return b&^0xFF | gaps
}

// hit counts a hit since the entry entered.
func (b traits) hit() traits {
	if b&maskHits < maskHits {
		b += 1 << shiftHits
	}
	return b
}

// returned are the traits of a ghost that enters again. Its sample, if any,
// stays with the ghost.
func (b traits) returned() traits {
	return b&^(maskHits|maskState) | isReturned
}

// withFresh notes the share of never-known keys.
func (b traits) withFresh(share float32) traits {
	return b&^maskFresh | traits(share*15.9)<<shiftFresh
}

// observation is what the model sees of a candidate, packed: classes of the
// age, count, gaps, hits and freshness; above them the moment at which it was
// seen.
type observation uint32

const (
	ages      = 24
	momentBit = 23
)

func (o observation) at(moment uint8) observation {
	return o | observation(moment)<<momentBit
}

func (o observation) moment() uint8 { return uint8(o >> momentBit) }

// countClasses are 1, 2, 3, 4-5, 6-8, 9-15, 16-31, 32 and more accesses.
var countClasses = func() (classes [64]uint8) {
	for n := range classes {
		for class, least := range []int{0, 2, 3, 4, 6, 9, 16, 32} {
			if n >= least {
				classes[n] = uint8(class)
			}
		}
	}
	return classes
}()

// clock is the time of the model, in misses, and what depends on the capacity
// in entries.
type clock struct {
	now     uint32  // misses so far; wraps
	entries float64 // capacity in entries
	inverse float32 // 1 / entries
	// freshRate is the rate of the moving share of never-known keys.
	freshRate float32

	// Moments are times in coarse units, modulo 256: so that the horizon has
	// at most 127 of them.
	sized   float64 // the capacity that the fields below are for
	shift   uint
	horizon uint8
	// ghostShift is likewise for the last access of ghosts, modulo 65,536.
	ghostShift uint
	nearness   [256]float32 // target by moments until the access
	later      float32      // target of an access just after the horizon
}

// The horizon of a sample and the time constant of its target, in capacities.
const (
	horizonShare = 0.5
	tauShare     = 0.7
)

// tune takes in another estimate of the capacity.
func (c *clock) tune(entries float64) {
	c.entries = entries
	c.inverse = float32(1 / entries)
	c.freshRate = float32(min(8/entries, 0.1))
}

// resize makes the units of time fit the capacity where it has changed by
// half, and reports whether it has.
func (c *clock) resize(entries float64) bool {
	if c.sized != 0 && entries < 1.5*c.sized && entries > c.sized/1.5 {
		return false
	}
	c.tune(entries)
	c.sized = entries
	horizon := uint32(max(horizonShare*entries, 1))
	c.shift = uint(max(bits.Len32(horizon)-7, 0))
	c.horizon = uint8(horizon >> c.shift)
	c.ghostShift = uint(max(bits.Len32(uint32(entries))-10, 0))
	unit := float64(uint32(1) << c.shift)
	for d := range c.nearness {
		c.nearness[d] = float32(math.Exp(-float64(d) * unit / (tauShare * entries)))
	}
	c.later = float32(math.Exp(-horizonShare / tauShare))
	return true
}

func (c *clock) moment() uint8 { return uint8(c.now >> c.shift) }

// since returns the moments since one.
func (c *clock) since(moment uint8) uint8 { return c.moment() - moment }

// gapClass returns the octave of a gap in capacities, from 2^-9, 1..15.
func (c *clock) gapClass(gap uint32) uint32 {
	octave := int32(math.Float32bits(float32(gap)*c.inverse)>>23) - 127
	return uint32(min(max(octave+10, 1), 15))
}

// features returns what the model sees of a key with these traits that was
// last accessed at that time.
func (c *clock) features(b traits, at uint32) observation {
	half := int32(math.Float32bits(float32(c.now-at)*c.inverse)>>22) - (127-7)*2
	age := uint32(min(max(half+1, 0), ages-1))
	count := uint32(countClasses[b>>shiftCount&63])
	gaps := uint32(b & 0xFF)
	hits := uint32(b >> shiftHits & 7)
	fresh := uint32(b >> shiftFresh & 15)
	return observation(age | count<<5 | gaps<<8 | hits<<16 | fresh<<19)
}
