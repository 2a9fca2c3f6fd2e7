package patterns

import (
	"math"
	"math/bits"
	"slices"
	"time"

	"github.com/perfopt/perfopt/policies"
)

const (
	// minKeys is the size of the sample below which Options.Rate does not
	// shrink it: a handful of keys says nothing.
	minKeys = 1024
	// keptShare of the sample survives a shrinking: 7/8.
	keptOf, keptIn = 7, 8
	// gapMemory is the weight of a key's last gap in its mean and variance, so
	// that one long pause is forgotten after some tens of accesses.
	gapMemory = 1.0 / 8
	// scanWindow is over how many sampled accesses a scan is told from chance.
	scanWindow = 64
)

// tracked is what the sample knows of a key.
type tracked struct {
	hash     policies.KeyHash
	position uint32  // of its last access in the tree
	asked    uint32  // accesses since it came, saturating
	weight   uint32  // 0 = not known yet
	count    float32 // accesses, aged
	inScan   bool    // it came among keys that were new as well
	last     policies.Nanos
	gaps     float64 // mean of the seconds between its accesses, the last counting most
	spread   float64 // their variance, likewise
}

// sample is the sampled keys in the order of their last access.
type sample struct {
	bound     int
	reach     float64 // distance beyond which a key leaves; unscaled
	threshold uint64  // mixed hashes up to it are in the sample
	keys      []tracked
	free      []uint32
	index     map[policies.KeyHash]uint32
	order     order
	weighed   float64 // sum of the weights that are known
	known     int     // keys whose weight is known
	fresh     uint64  // the last 64 accesses, newest lowest: 1 = of a new key

	// Keys that left for their distance, aged: all, and those asked once.
	left, leftOnce float64
}

func newSample(bound int, reach float64) sample {
	return sample{
		bound: bound, reach: reach, threshold: math.MaxUint64, index: make(map[policies.KeyHash]uint32, bound),
		order: newOrder(4 * bound),
	}
}

// mix spreads a hash that may be a plain number: in a replay it is the key.
// (Steele, Lea, Flood: SplitMix, 2014.)
func mix(h policies.KeyHash) uint64 {
	x := uint64(h) + 0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

func (s *sample) covers(h policies.KeyHash) bool { return mix(h) <= s.threshold }
func (s *sample) len() int                       { return len(s.index) }

// rate is the share of all keys that the sample covers.
func (s *sample) rate() float64 { return (float64(s.threshold) + 1) / (1 << 64) }

// meanWeight stands in for weights that are not known.
func (s *sample) meanWeight() float64 {
	if s.known == 0 {
		return 1
	}
	return s.weighed / float64(s.known)
}

func (s *sample) weightOf(k *tracked) int64 {
	if k.weight == 0 {
		return int64(math.Round(s.meanWeight()))
	}
	return int64(k.weight)
}

// access notes an access of a key that the sample covers and returns its
// distance: the capacity that would just have hit, +Inf for a first access.
func (s *sample) access(h policies.KeyHash, now policies.Nanos) float64 {
	i, found := s.index[h]
	s.fresh <<= 1
	if !found {
		s.fresh |= 1
		s.add(h, now)
		return math.Inf(1)
	}
	k := &s.keys[i]
	w := s.weightOf(k)
	between := s.order.after(k.position)
	s.order.remove(k.position)
	k.position = s.push(i, w)
	gap := time.Duration(now - k.last).Seconds()
	k.last = now
	if k.asked < math.MaxUint32 {
		k.asked++
	}
	k.count++
	d, alpha := gap-k.gaps, max(1/float64(k.asked-1), gapMemory)
	k.gaps += alpha * d
	k.spread = (1 - alpha) * (k.spread + alpha*d*d)
	return float64(between)/s.rate() + float64(w)
}

// add puts a new key in the sample.
func (s *sample) add(h policies.KeyHash, now policies.Nanos) {
	k := tracked{hash: h, asked: 1, count: 1, last: now, inScan: bits.OnesCount64(s.fresh) > scanWindow/2}
	var i uint32
	if n := len(s.free); n > 0 {
		i, s.free = s.free[n-1], s.free[:n-1]
		s.keys[i] = k
	} else {
		i = uint32(len(s.keys))
		s.keys = append(s.keys, k)
	}
	s.index[h] = i
	s.keys[i].position = s.push(i, s.weightOf(&k))
	for float64(s.order.total())/s.rate() > s.reach && s.len() > 1 {
		oldest := s.order.oldest()
		s.left++
		if s.keys[oldest].asked == 1 {
			s.leftOnce++
		}
		s.drop(oldest)
	}
	if s.len() > s.bound {
		s.shrink()
	}
}

// push gives a key the newest position.
func (s *sample) push(i uint32, weight int64) uint32 {
	if s.order.full() {
		s.order.compact(func(key, position uint32) { s.keys[key].position = position })
	}
	return s.order.push(i, weight)
}

func (s *sample) drop(i uint32) {
	k := &s.keys[i]
	if k.weight != 0 {
		s.weighed -= float64(k.weight)
		s.known--
	}
	s.order.remove(k.position)
	delete(s.index, k.hash)
	s.free = append(s.free, i)
}

// shrink lowers the threshold so far that 7/8 of the keys stay.
func (s *sample) shrink() {
	mixed := make([]uint64, 0, len(s.index))
	for h := range s.index {
		mixed = append(mixed, mix(h))
	}
	slices.Sort(mixed)
	s.threshold = mixed[max(len(mixed)*keptOf/keptIn-1, 0)]
	for h, i := range s.index {
		if mix(h) > s.threshold {
			s.drop(i)
		}
	}
}

// weigh notes the weight of a key.
func (s *sample) weigh(h policies.KeyHash, weight uint32) {
	i, ok := s.index[h]
	if !ok || weight == 0 {
		return
	}
	k := &s.keys[i]
	if k.weight != 0 {
		s.weighed -= float64(k.weight)
		s.known--
	}
	k.weight = weight
	s.weighed += float64(weight)
	s.known++
	s.order.reweigh(k.position, int64(weight))
}

func (s *sample) age(f float64) {
	for _, i := range s.index {
		s.keys[i].count *= float32(f)
	}
	s.left *= f
	s.leftOnce *= f
}
