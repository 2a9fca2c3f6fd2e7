package cache

import "github.com/perfopt/perfopt/policies"

const (
	wheelLevels  = 5
	wheelBuckets = 64 // a level
	// wheelShift makes the finest bucket 2^10 ticks: expiry that nobody reads
	// is about a second late, a read is never.
	wheelShift = 10
	levelShift = 6 // a level's bucket is 64 of the level below

	// expireBound is the number of entries that one round expires or moves
	// between levels.
	expireBound = 1024

	bucketBit = 1 << 31 // marks a link to a bucket
	unlinked  = 0       // links are slot + 1, so the zero value is free
)

// wheel is a hierarchical timing wheel (Varghese and Lauck, 1987) over slots:
// doubly linked rings of slots through arrays of links, so that an entry costs
// 8 bytes, and those only where entries expire. The zero value is ready.
type wheel struct {
	links   []*[chunkSize]link
	buckets [wheelLevels * wheelBuckets]link
	at      uint64 // ticks up to here, in finest buckets, have been expired
	count   int
}

type link struct{ next, prev uint32 }

func (w *wheel) link(id uint32) *link {
	if id&bucketBit != 0 {
		return &w.buckets[id&^bucketBit]
	}
	return &w.links[(id-1)>>chunkBits][(id-1)&(chunkSize-1)]
}

// schedule puts a slot where it comes due at a tick, or moves it there.
func (w *wheel) schedule(s policies.Slot, due uint64) {
	for int(s>>chunkBits) >= len(w.links) {
		w.links = append(w.links, nil)
	}
	if w.links[s>>chunkBits] == nil {
		w.links[s>>chunkBits] = new([chunkSize]link)
	}
	w.remove(s)
	b := w.bucket(due>>wheelShift) | bucketBit
	id, head := uint32(s)+1, w.link(b)
	if head.next == unlinked {
		head.next, head.prev = b, b
	}
	l := w.link(id)
	l.next, l.prev = b, head.prev
	w.link(head.prev).next = id
	w.link(b).prev = id
	w.count++
}

// bucket returns the bucket for a time in finest buckets: in the lowest level
// that reaches so far, and never one that has passed.
func (w *wheel) bucket(time uint64) uint32 {
	time = max(time, w.at+1)
	for level := uint32(0); ; level++ {
		shift := level * levelShift
		if ahead := time>>shift - w.at>>shift; ahead < wheelBuckets || level == wheelLevels-1 {
			t := min(time>>shift, w.at>>shift+wheelBuckets-1)
			return level*wheelBuckets + uint32(t%wheelBuckets)
		}
	}
}

// remove takes a slot out if it is in.
func (w *wheel) remove(s policies.Slot) {
	if int(s>>chunkBits) >= len(w.links) || w.links[s>>chunkBits] == nil {
		return
	}
	l := w.link(uint32(s) + 1)
	if l.next == unlinked {
		return
	}
	w.link(l.prev).next = l.next
	w.link(l.next).prev = l.prev
	l.next, l.prev = unlinked, unlinked
	w.count--
}

// advance moves on towards a tick and appends the slots that came due or moved
// down a level, at most about bound; done is false where there is more to do.
// The caller looks at each slot's true expiry and schedules again what is not
// due.
func (w *wheel) advance(to uint64, bound int, due []policies.Slot) (out []policies.Slot, done bool) {
	for past := to >> wheelShift; w.at+1 < past; { // buckets that lie behind as a whole
		if w.count == 0 {
			w.at = past - 1
			break
		}
		next := w.at + 1
		for level := wheelLevels - 1; level >= 0; level-- {
			shift := uint32(level * levelShift)
			if next&(1<<shift-1) != 0 {
				continue // this level's hand does not move now
			}
			b := uint32(level*wheelBuckets) + uint32(next>>shift%wheelBuckets)
			for head := &w.buckets[b]; head.next != unlinked && head.next != b|bucketBit; {
				if len(due) >= bound {
					return due, false
				}
				s := policies.Slot(head.next - 1)
				w.remove(s)
				due = append(due, s)
			}
		}
		w.at = next
	}
	return due, true
}
