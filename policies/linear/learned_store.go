package linear

import (
	"math/bits"

	"github.com/perfopt/perfopt/policies"
)

// grown returns a with that length, growing in powers of two up to a bound.
func grown[T any](a []T, n int, bound uint32) []T {
	if n > cap(a) {
		b := make([]T, len(a), min(max(2*cap(a), n, 64), int(bound)))
		copy(b, a)
		a = b
	}
	old := len(a)
	a = a[:n]
	clear(a[old:])
	return a
}

// ghost is a key that left, packed: 16 bits of the key, the clock at its last
// access in coarse units, its traits. 0 is none.
type ghost uint64

// ghostBucket has the ghosts of a class of keys, the newest first: one line of
// the processor's cache.
type ghostBucket [8]ghost

func (g ghost) traits() traits { return traits(g >> 32) }

func (g ghost) matches(key uint32) bool { return g != 0 && uint16(g) == uint16(key) }

// at returns the clock at the last access.
func (g ghost) at(c *clock) uint32 {
	age := uint16(c.now>>c.ghostShift) - uint16(g>>16)
	return c.now - uint32(age)<<c.ghostShift
}

// ghostsPerEntry is how many keys that left are remembered for each entry that
// fits.
const ghostsPerEntry = 4

// ghostTable is the ghosts; each bucket forgets its oldest.
type ghostTable struct{ buckets []ghostBucket }

func (t *ghostTable) clear() { t.buckets = nil }

func (t *ghostTable) resize(entries float64) {
	n := max(int(entries*ghostsPerEntry/8), 1)
	t.buckets = make([]ghostBucket, n)
}

func (t *ghostTable) bucket(key uint32) *ghostBucket {
	hi := uint64(key) * uint64(len(t.buckets)) >> 32
	return &t.buckets[hi]
}

// put makes a ghost the newest of its bucket.
func (t *ghostTable) put(key, at uint32, b traits, c *clock) {
	if len(t.buckets) == 0 {
		return
	}
	next := ghost(uint16(key)) | ghost(uint16(at>>c.ghostShift))<<16 | ghost(b)<<32
	bucket := t.bucket(key)
	for i := range bucket {
		bucket[i], next = next, bucket[i]
		if next == 0 {
			return
		}
	}
}

// take returns what is known of a key that left and when it was last accessed.
// A sample stays behind until it is learnt.
func (t *ghostTable) take(key uint32, c *clock) (b traits, at uint32, ok bool) {
	if len(t.buckets) == 0 {
		return 0, 0, false
	}
	bucket := t.bucket(key)
	for i, g := range bucket {
		if !g.matches(key) || g.traits()&isHeld != 0 {
			continue
		}
		b, at = g.traits(), g.at(c)
		if b&maskState != 0 {
			left := b.accessed(c, at) | isHeld
			bucket[i] = ghost(uint32(g)) | ghost(left)<<32
		} else {
			bucket[i] = 0
		}
		return b, at, true
	}
	return 0, 0, false
}

// sampled returns the ghost that has the sample of a key.
func (t *ghostTable) sampled(key uint32) *ghost {
	if len(t.buckets) == 0 {
		return nil
	}
	bucket := t.bucket(key)
	for i, g := range bucket {
		if g.matches(key) && g.traits()&maskState != 0 {
			return &bucket[i]
		}
	}
	return nil
}

// pending is a sample whose outcome is not known yet.
type pending struct {
	key  uint32
	slot uint32
	seen observation
}

// samples is a queue of pending samples, oldest first.
type samples struct {
	ring  []pending
	first int
	n     int
}

func (q *samples) clear() { *q = samples{} }

// resize makes room for one sample a miss of the horizon, and for the early
// ones, which are more, as far as they are few.
func (q *samples) resize(entries float64) {
	*q = samples{ring: make([]pending, int(max(min(entries*horizonShare*6, 1<<16), entries*horizonShare*1.5, 16)))}
}

func (q *samples) room() bool { return q.n < len(q.ring) }

func (q *samples) push(s pending) {
	i := q.first + q.n
	if i >= len(q.ring) {
		i -= len(q.ring)
	}
	q.ring[i] = s
	q.n++
}

func (q *samples) oldest() pending { return q.ring[q.first] }

func (q *samples) pop() {
	if q.first++; q.first == len(q.ring) {
		q.first = 0
	}
	q.n--
}

// scored is an entry in the pool as it was when it was scored.
type scored struct {
	slot, key, at uint32
	score         float32
}

// pool is the lowest scored candidates seen.
type pool struct {
	all [8]scored
	n   int
}

func (p *pool) lowest() int {
	least := 0
	for i := 1; i < p.n; i++ {
		if p.all[i].score < p.all[least].score {
			least = i
		}
	}
	return least
}

// offer takes a scored in where it is lower than the highest.
func (p *pool) offer(c scored) {
	most := 0
	for i := range p.n {
		if p.all[i].slot == c.slot {
			p.all[i] = c
			return
		}
		if p.all[i].score > p.all[most].score {
			most = i
		}
	}
	if p.n < len(p.all) {
		p.all[p.n] = c
		p.n++
	} else if c.score < p.all[most].score {
		p.all[most] = c
	}
}

func (p *pool) drop(i int) {
	p.n--
	p.all[i] = p.all[p.n]
}

// recents are the last inserts, which may be victims before they are residents
// like others. Under load a batch has many between two victims.
type recents struct {
	slots [64]policies.Slot
	n     int
}

func (r *recents) add(s policies.Slot) {
	if r.n == len(r.slots) {
		copy(r.slots[:], r.slots[1:])
		r.n--
	}
	r.slots[r.n] = s
	r.n++
}

func (r *recents) pop() (policies.Slot, bool) {
	if r.n == 0 {
		return 0, false
	}
	r.n--
	return r.slots[r.n], true
}

// xorshift is xorshift64* by Vigna (2016).
type xorshift uint64

func newXorshift(seed uint64) xorshift {
	z := seed + 0x9E3779B97F4A7C15 // splitmix64, never 0
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return xorshift(z ^ z>>31 | 1)
}

func (x *xorshift) next() uint32 {
	v := *x
	v ^= v >> 12
	v ^= v << 25
	v ^= v >> 27
	*x = v
	return uint32(uint64(v) * 0x2545F4914F6CDD1D >> 32)
}

// below returns a number below n.
func (x *xorshift) below(n uint32) uint32 { return uint32(uint64(x.next()) * uint64(n) >> 32) }

// bitmap is the set of resident slots.
type bitmap struct {
	words []uint64
	span  uint32 // slots ever in use
}

func (b *bitmap) clear() { b.words, b.span = b.words[:0], 0 }

func (b *bitmap) set(s policies.Slot) {
	if uint32(s) >= b.span {
		b.span = uint32(s) + 1
		for len(b.words) <= int(s>>6) {
			b.words = append(b.words, 0)
		}
	}
	b.words[s>>6] |= 1 << (s & 63)
}

func (b *bitmap) unset(s policies.Slot) { b.words[s>>6] &^= 1 << (s & 63) }

// draw returns a random resident: a random slot where that is in use, else a
// near one.
func (b *bitmap) draw(rng *xorshift) (policies.Slot, bool) {
	for range 4 {
		s := policies.Slot(rng.below(b.span))
		if s>>6 < policies.Slot(len(b.words)) && b.words[s>>6]>>(s&63)&1 != 0 {
			return s, true
		}
	}
	if len(b.words) == 0 {
		return 0, false
	}
	from := rng.below(uint32(len(b.words)))
	turn := int(rng.below(64))
	for i := range uint32(len(b.words)) {
		w := from + i
		if w >= uint32(len(b.words)) {
			w -= uint32(len(b.words))
		}
		if word := b.words[w]; word != 0 {
			bit := (bits.TrailingZeros64(bits.RotateLeft64(word, -turn)) + turn) & 63
			return policies.Slot(w<<6 + uint32(bit)), true
		}
	}
	return 0, false
}
