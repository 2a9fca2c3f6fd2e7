package features

import (
	"math"
	"sync"
)

// Counts and rates are kept as u, a number of accesses that decays and grows
// by 1 with each access. A code c > 0 stands for u = 2^(c/240 - 8), code 0 for
// u = 0. Between codes, arithmetic is in units of 1/61,440 step: then a tick
// of each half-life is a whole number of units.
const (
	stepsPerOctave = 240
	lowestOctave   = -8
	unitsPerStep   = 61440
	unitsPerOctave = stepsPerOctave * unitsPerStep

	// codeOne is the code of u = 1.
	codeOne = -lowestOctave * stepsPerOctave
	// codeMost is the code of u = 63, where the count saturates.
	codeMost = 3355
	maxCount = 63

	// Decay in units per tick of 1/16 s, for half-lives of a minute, ten
	// minutes and an hour; and per 1/32 capacity of misses for one capacity.
	fastDecay  = unitsPerOctave / (60 * 16)
	slowDecay  = unitsPerOctave / (600 * 16)
	countDecay = unitsPerOctave / (3600 * 16)
	epochDecay = unitsPerOctave / epochsPerCapacity

	epochsPerCapacity = 32

	// subSteps is the resolution of a value that is read between two codes.
	subSteps = 16
)

// scales are the tables behind the codes; immutable, shared by all tables.
type scales struct {
	// grow[c] is how many units one access adds at code c.
	grow [codeMask + 1]uint32
	// fraction[i] is 2^(i / (240 * 16)).
	fraction [stepsPerOctave * subSteps]float64
}

var sharedScales = sync.OnceValue(func() *scales {
	s := new(scales)
	for c := 1; c < len(s.grow); c++ {
		u := math.Exp2(float64(c)/stepsPerOctave + lowestOctave)
		s.grow[c] = uint32(math.Round(math.Log2(1+1/u) * unitsPerOctave))
	}
	for i := range s.fraction {
		s.fraction[i] = math.Exp2(float64(i) / float64(len(s.fraction)))
	}
	return s
})

// decayed returns the units of a code after some decay; 0 where u is as good
// as 0.
func decayed(code uint64, decay int64) int64 {
	units := int64(code)*unitsPerStep - decay
	if units < unitsPerStep {
		return 0
	}
	return units
}

// value returns u for a number of units.
func (s *scales) value(units int64) float64 {
	if units < unitsPerStep {
		return 0
	}
	sub := uint64(units+unitsPerStep/subSteps/2) / (unitsPerStep / subSteps)
	octave := sub / uint64(len(s.fraction))
	power := math.Float64frombits((1023 + octave + (1<<64 + lowestOctave)) << 52)
	return s.fraction[sub%uint64(len(s.fraction))] * power
}

// grown returns the code after one more access. Where that is less than eight
// steps, it rounds up with the probability of the fraction, by noise in
// 0..unitsPerStep-1: rounding to the nearest would let a busy rate stand still.
func (s *scales) grown(units int64, noise uint32) uint64 {
	if units < unitsPerStep {
		return codeOne
	}
	add := s.grow[uint64(units+unitsPerStep/2)/unitsPerStep&codeMask]
	if add >= 8*unitsPerStep {
		noise = unitsPerStep / 2
	}
	return min(uint64(units+int64(add)+int64(noise))/unitsPerStep, codeMask)
}
