package features

import (
	"math/bits"

	"github.com/perfopt/perfopt/policies"
)

// residents is the set of resident slots: a bitmap with counts above it, so
// that the n-th resident is found in constant time however sparse they are.
type residents struct {
	words  []uint64 // a bit a slot
	counts []uint16 // residents in 64 words = 4,096 slots
	sums   []uint32 // residents in 64 counts = 262,144 slots
	total  int
}

func (r *residents) has(s policies.Slot) bool {
	w := int(s >> 6)
	return w < len(r.words) && r.words[w]>>(s&63)&1 != 0
}

func (r *residents) add(s policies.Slot) {
	w := int(s >> 6)
	if w >= len(r.words) {
		r.words = append(r.words, make([]uint64, w+1-len(r.words))...)
		r.counts = append(r.counts, make([]uint16, w>>6+1-len(r.counts))...)
		r.sums = append(r.sums, make([]uint32, w>>12+1-len(r.sums))...)
	}
	if r.has(s) {
		return
	}
	r.words[w] |= 1 << (s & 63)
	r.counts[w>>6]++
	r.sums[w>>12]++
	r.total++
}

func (r *residents) remove(s policies.Slot) {
	if !r.has(s) {
		return
	}
	w := s >> 6
	r.words[w] &^= 1 << (s & 63)
	r.counts[w>>6]--
	r.sums[w>>12]--
	r.total--
}

// nth returns the resident with n residents below it; n < total.
func (r *residents) nth(n int) policies.Slot {
	sum := 0
	for n >= int(r.sums[sum]) {
		n -= int(r.sums[sum])
		sum++
	}
	count := sum << 6
	for n >= int(r.counts[count]) {
		n -= int(r.counts[count])
		count++
	}
	word := count << 6
	for n >= bits.OnesCount64(r.words[word]) {
		n -= bits.OnesCount64(r.words[word])
		word++
	}
	w := r.words[word]
	for range n {
		w &= w - 1
	}
	return policies.Slot(word<<6 + bits.TrailingZeros64(w))
}

// Rand is a source of uniformly distributed numbers, such as the sources and
// generators of math/rand/v2.
type Rand interface{ Uint64() uint64 }

// draws is how often a random slot is tried before a resident is chosen by
// rank. Both choose uniformly; trying is faster where most slots are in use.
const draws = 3

// one returns a random resident; total > 0.
func (r *residents) one(rng Rand) policies.Slot {
	span := uint64(len(r.words)) << 6
	for range draws {
		hi, _ := bits.Mul64(rng.Uint64(), span)
		if s := policies.Slot(hi); r.has(s) {
			return s
		}
	}
	hi, _ := bits.Mul64(rng.Uint64(), uint64(r.total))
	return r.nth(int(hi))
}

// Sample fills out with distinct random residents and returns how many: all of
// them where out has room for all. The cost is proportional to len(out) up to
// 64, to its square above. Called by maintenance.
func (t *Table) Sample(rng Rand, out []policies.Slot) int {
	if len(out) >= t.live.total {
		return t.live.all(out)
	}
	n := 0
next:
	for n < len(out) {
		s := t.live.one(rng)
		for _, taken := range out[:n] {
			if taken == s {
				continue next
			}
		}
		out[n] = s
		n++
	}
	return n
}

// all writes every resident in slot order; out has room for them.
func (r *residents) all(out []policies.Slot) int {
	n := 0
	for i, w := range r.words {
		for ; w != 0; w &= w - 1 {
			out[n] = policies.Slot(i<<6 + bits.TrailingZeros64(w))
			n++
		}
	}
	return n
}
