package cache

import (
	"math/bits"
	"sync/atomic"
)

const (
	// lineSlots is the number of entries of a line: with a word of tags they
	// fill one cache line of 64 bytes.
	lineSlots = 7
	// maxProbe bounds the lines that a search visits; an insert that would
	// pass it grows the table instead.
	maxProbe = 16
	// overflowFull is where a line's overflow count sticks: it can then no
	// longer be counted down and the line sends searches on until the table is
	// built anew.
	overflowFull = 0xFF

	tagOnes  = 0x0001_0101_0101_0101
	tagHighs = 0x0080_8080_8080_8080
	tagAll   = 0x00FF_FFFF_FFFF_FFFF
)

// line is 64 bytes: a word of seven tags (0 = free) and, in its top byte, how
// many entries were put beyond this line because it was full; then the seven
// entries. Readers only load; writers hold the shard's lock.
type line[K comparable, V any] struct {
	meta  atomic.Uint64
	entry [lineSlots]atomic.Pointer[entry[K, V]]
}

// table is an open-addressed index of lines. Entries never move inside a
// table; growth builds another one.
type table[K comparable, V any] struct {
	lines []line[K, V]
}

func newTable[K comparable, V any](lines int) *table[K, V] {
	return &table[K, V]{lines: make([]line[K, V], max(lines, 1))}
}

// limit is the number of entries above which the table grows: 85 % load.
func (t *table[K, V]) limit() int { return len(t.lines) * lineSlots * 85 / 100 }

// home returns the first line of a hash: its low half scaled to the length.
func (t *table[K, V]) home(hash uint64) int {
	return int(uint64(uint32(hash)) * uint64(len(t.lines)) >> 32)
}

// tagOf returns the tag of a hash, 1..255.
func tagOf(hash uint64) uint64 {
	t := hash >> 40 & 0xFF
	if t == 0 {
		t = 1
	}
	return t
}

// matchTag returns a word with the high bit set in each byte of meta that may
// equal tag: all that do, and rarely one above them that does not.
func matchTag(meta, tag uint64) uint64 {
	x := (meta & tagAll) ^ tag*tagOnes
	return (x - tagOnes) & ^x & tagHighs
}

// find returns the entry of a key and its position, nil where there is none.
// It takes no lock and may run beside one writer.
func (t *table[K, V]) find(hash uint64, key K) (*entry[K, V], uint32) {
	tag := tagOf(hash)
	i := t.home(hash)
	for range maxProbe {
		l := &t.lines[i]
		meta := l.meta.Load()
		for m := matchTag(meta, tag); m != 0; m &= m - 1 {
			p := bits.TrailingZeros64(m) >> 3
			if e := l.entry[p].Load(); e != nil && e.key == key {
				return e, uint32(i)<<3 | uint32(p)
			}
		}
		if meta>>56 == 0 {
			return nil, 0
		}
		if i++; i == len(t.lines) {
			i = 0
		}
	}
	return nil, 0
}

// at returns the entry at a position, nil where there is none.
func (t *table[K, V]) at(pos uint32) *entry[K, V] {
	if int(pos>>3) >= len(t.lines) || pos&7 >= lineSlots {
		return nil
	}
	return t.lines[pos>>3].entry[pos&7].Load()
}

// replace puts another entry of the same key at its position.
func (t *table[K, V]) replace(pos uint32, e *entry[K, V]) {
	t.lines[pos>>3].entry[pos&7].Store(e)
}

// insert puts an entry whose key is absent and returns its position, or false
// where the bound of probing would be passed.
func (t *table[K, V]) insert(hash uint64, e *entry[K, V]) (uint32, bool) {
	i := t.home(hash)
	for probe := range maxProbe {
		l := &t.lines[i]
		meta := l.meta.Load()
		if free := ^(((meta & 0x007F_7F7F_7F7F_7F7F) + 0x007F_7F7F_7F7F_7F7F) | meta) & tagHighs; free != 0 {
			p := bits.TrailingZeros64(free) >> 3
			t.overflow(hash, probe, 1)
			l.entry[p].Store(e)
			l.meta.Store(l.meta.Load() | tagOf(hash)<<(8*p))
			return uint32(i)<<3 | uint32(p), true
		}
		if i++; i == len(t.lines) {
			i = 0
		}
	}
	return 0, false
}

// remove takes away the entry at a position.
func (t *table[K, V]) remove(hash uint64, pos uint32) {
	i, p := int(pos>>3), int(pos&7)
	l := &t.lines[i]
	l.meta.Store(l.meta.Load() &^ (0xFF << (8 * p)))
	l.entry[p].Store(nil)
	probes := i - t.home(hash)
	if probes < 0 {
		probes += len(t.lines)
	}
	t.overflow(hash, probes, -1)
}

// overflow adds d to the overflow counts of the first n lines of a hash.
func (t *table[K, V]) overflow(hash uint64, n, d int) {
	i := t.home(hash)
	for range n {
		l := &t.lines[i]
		meta := l.meta.Load()
		if count := int(meta >> 56); count != overflowFull {
			l.meta.Store(meta&tagAll | uint64(count+d)<<56)
		}
		if i++; i == len(t.lines) {
			i = 0
		}
	}
}
