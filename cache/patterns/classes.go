package patterns

import (
	"math"
	"time"
)

// Class is the keys that are asked for in one way.
type Class struct {
	// Name is scan, periodic, cold, hot or warm; a key belongs to the first of
	// these that fits:
	//   - scan: asked for once, in a run of accesses of which more than half
	//     (of 64 in the sample) were of keys not known either; the first keys of
	//     a run, before that can be told, are cold;
	//   - periodic: asked for at least six times, at gaps whose standard
	//     deviation is at most 0.3 of their mean (the last gaps counting most),
	//     and the last access lies at most two such gaps back;
	//   - cold: asked for once, or its last access lies further back than the
	//     capacity reaches (where that is unknown: than four of its mean gaps);
	//   - hot: among the most asked keys that together get half of the accesses;
	//   - warm: the others.
	Name string `json:"name"`
	// Keys and Weight are estimates for the whole cache.
	Keys   float64 `json:"keys"`
	Weight float64 `json:"weight"`
	// Accesses is the share of the accesses that go to them, 0..1.
	Accesses float64 `json:"accesses"`
}

var classNames = [...]string{"scan", "periodic", "cold", "hot", "warm"}

const (
	classScan = iota
	classPeriodic
	classCold
	classHot
	classWarm
)

// What makes a key periodic, cold and hot; see [Class].
const (
	periodicAsked  = 6
	periodicSpread = 0.3
	periodicIdle   = 2
	coldIdle       = 4
	hotShare       = 0.5
)

// classify sorts keys, which come by falling count, into their classes.
func (a *Analyzer) classify(keys []*tracked) []Class {
	total, before := 0.0, 0.0
	for _, k := range keys {
		total += float64(k.count)
	}
	out := make([]Class, len(classNames))
	for i := range out {
		out[i].Name = classNames[i]
	}
	for _, k := range keys {
		c := &out[a.classOf(k, before < hotShare*total)]
		before += float64(k.count)
		c.Keys += 1 / a.sample.rate()
		c.Weight += float64(a.sample.weightOf(k)) / a.sample.rate()
		c.Accesses += float64(k.count) / max(total, math.SmallestNonzeroFloat64)
	}
	return out
}

func (a *Analyzer) classOf(k *tracked, mostAsked bool) int {
	idle := time.Duration(a.now - k.last).Seconds()
	switch {
	case k.asked == 1 && k.inScan:
		return classScan
	case k.asked >= periodicAsked && k.gaps > 0 && idle <= periodicIdle*k.gaps &&
		math.Sqrt(k.spread) <= periodicSpread*k.gaps:
		return classPeriodic
	case k.asked == 1 || a.outOfReach(k, idle):
		return classCold
	case mostAsked:
		return classHot
	default:
		return classWarm
	}
}

// outOfReach reports whether an LRU of the cache's capacity would have dropped
// the key by now.
func (a *Analyzer) outOfReach(k *tracked, idle float64) bool {
	if a.o.Capacity <= 0 {
		return idle > coldIdle*k.gaps
	}
	s := &a.sample
	return float64(s.order.after(k.position))/s.rate() > float64(a.o.Capacity)
}
