package linear

// shadow is the guard of the model: an LRU of the keys of a hash sample, as
// large as their share of the cache (after SHARDS by Waldspurger, Park,
// Garthwaite and Ahmad, FAST 2015). What it misses is compared with what the
// cache missed of the same keys. Where the cache misses more, the guard is
// active for some capacities of misses, twice as long every time.
type shadow struct {
	active bool

	most  uint32 // keys up to this one are in the sample
	limit int    // entries of the shadow; 0 = not in use
	until uint32 // end of the active time, on the clock of misses
	term  uint32 // length of the next active time in misses
	clock *clock

	missed       float32 // by the cache, of the sample; decayed
	shadowMissed float32 // likewise by the shadow
	accesses     int     // since the last decay

	entries    []shadowEntry
	index      []uint16 // chains by key: entry number + 1
	head, tail uint16   // entry number + 1; 0 = none
}

type shadowEntry struct {
	key              uint32
	prev, next, hash uint16 // entry number + 1; 0 = none
}

const (
	shadowMost  = 1024 // entries of the shadow at most
	shadowIndex = 2048
	// The guard becomes active where the cache missed more than the shadow by
	// this share of its misses and this share of its entries.
	guardExcess = 0.01
	guardSlack  = 1.0 / 4
	guardTerm   = 4 // capacities of misses that it is active for at first
)

func (g *shadow) reset() { *g = shadow{entries: g.entries[:0], index: g.index} }

func (g *shadow) resize(c *clock) {
	g.reset()
	g.clock = c
	g.limit = int(min(c.entries, shadowMost))
	g.most = uint32(min(float64(g.limit)/c.entries, 1) * float64(^uint32(0)))
	g.term = uint32(guardTerm * c.entries)
	if g.index == nil {
		g.index = make([]uint16, shadowIndex)
		g.entries = make([]shadowEntry, 0, shadowMost)
	}
	clear(g.index)
}

func (g *shadow) watches(key uint32) bool { return g.limit > 0 && key <= g.most }

// access notes an access to a key of the sample.
func (g *shadow) access(key uint32, hit bool) {
	if !hit {
		g.missed++
	}
	home := &g.index[key&(shadowIndex-1)]
	for n := *home; n != 0; n = g.entries[n-1].hash {
		if g.entries[n-1].key == key {
			if n != g.head {
				g.unlink(n)
				g.link(n)
			}
			return
		}
	}
	full := len(g.entries) == g.limit
	if full {
		g.shadowMissed++
	} else if !hit {
		g.missed-- // while the shadow fills nothing is compared
	}
	var n uint16
	if full {
		n = g.tail
		g.unlink(n)
		at := &g.index[g.entries[n-1].key&(shadowIndex-1)]
		for *at != n {
			at = &g.entries[*at-1].hash
		}
		*at = g.entries[n-1].hash
	} else {
		g.entries = append(g.entries, shadowEntry{})
		n = uint16(len(g.entries))
	}
	g.entries[n-1] = shadowEntry{key: key, hash: *home}
	*home = n
	g.link(n)
	if full {
		g.judge()
	}
}

// judge compares what was missed. Called where the shadow missed.
func (g *shadow) judge() {
	if g.active {
		if int32(g.clock.now-g.until) < 0 {
			return
		}
		g.active, g.missed, g.shadowMissed = false, 0, 0
	}
	if g.missed > g.shadowMissed*(1+guardExcess)+float32(g.limit)*guardSlack+8 {
		g.active = true
		g.until = g.clock.now + g.term
		g.term = min(2*g.term, 1<<30)
	}
	if g.accesses++; g.accesses >= 16*g.limit {
		g.accesses = 0
		g.missed /= 2
		g.shadowMissed /= 2
	}
}

func (g *shadow) unlink(n uint16) {
	e := &g.entries[n-1]
	if e.prev != 0 {
		g.entries[e.prev-1].next = e.next
	} else {
		g.head = e.next
	}
	if e.next != 0 {
		g.entries[e.next-1].prev = e.prev
	} else {
		g.tail = e.prev
	}
}

func (g *shadow) link(n uint16) {
	e := &g.entries[n-1]
	e.prev, e.next = 0, g.head
	if g.head != 0 {
		g.entries[g.head-1].prev = n
	} else {
		g.tail = n
	}
	g.head = n
}
