package prefetch

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/perfopt/perfopt/policies"
)

// AssociationOptions are the settings of [Association]. The zero value means
// the defaults.
type AssociationOptions struct {
	// Keys bounds the table of keys whose successors are counted, 56 bytes
	// each; rounded up to a power of two. Default 16,384, at most 1,048,576.
	Keys int `json:"keys"`
	// Window is how many accesses after a key count as soon. Default 3, at
	// most 8.
	Window int `json:"window"`
	// Support is how often a successor must have been seen. Default 3.
	Support int `json:"support"`
	// Confidence is the least share of a key's accesses that the successor
	// followed. Default 0.5.
	Confidence float64 `json:"confidence"`
}

const (
	maxWindow     = 8
	successors    = 4   // that are counted for a key
	rowWays       = 4   // places where a key's row may lie
	maxSeen       = 255 // where the counts of a row are halved
	maxTriggers   = 128 // latest accesses that a proposal looks at
	maxAssociated = 1 << 20
	unknownSlot   = policies.NoSlot
)

// row counts what was asked for soon after one key.
type row struct {
	key   policies.KeyHash
	next  [successors]policies.KeyHash
	count [successors]uint8
	seen  uint8 // accesses of the key; 0 = the row is free
	// slot is where the key was last seen; it is resident there while the
	// policy's list of slots says so.
	slot policies.Slot
}

// visit is an access whose key has a row.
type visit struct {
	row *row // nil = the key has none
	key policies.KeyHash
}

// Association learns which keys are asked for soon after which: a table with a
// bounded number of rows counts the accesses of a key and its four most
// frequent successors within a window. A successor with support of at least 3
// and confidence of at least one half is proposed after the key was asked for,
// unless it was asked for since or is resident. Random keys do not reach that,
// but for popular ones, which are resident. Idea: Yang and others, "Mithril: mining
// sporadic associations for cache prefetching", SoCC 2017; here first-order
// counts instead of its recording and mining tables.
//
// Not safe for concurrent use.
type Association struct {
	options AssociationOptions
	shift   uint
	rows    []row
	keys    []policies.KeyHash // of the resident in each slot
	held    []uint64           // a bit a slot: keys is valid

	window   [maxWindow]visit // of the latest accesses
	position int
	triggers []policies.KeyHash // latest accesses since the last proposal

	choices []choice                 // scratch
	latest  map[policies.KeyHash]int // scratch: last position among the triggers
}

var _ policies.Prefetch = (*Association)(nil)

// NewAssociation returns an association policy.
func NewAssociation(o AssociationOptions) (*Association, error) {
	positive := func(v *int, otherwise int) {
		if *v == 0 {
			*v = otherwise
		}
	}
	positive(&o.Keys, 16384)
	positive(&o.Window, 3)
	positive(&o.Support, 3)
	if o.Confidence == 0 {
		o.Confidence = 0.5
	}
	switch {
	case o.Keys < 1 || o.Keys > maxAssociated:
		return nil, fmt.Errorf("keys: %d, want 1 to %d", o.Keys, maxAssociated)
	case o.Window < 1 || o.Window > maxWindow:
		return nil, fmt.Errorf("window: %d, want 1 to %d", o.Window, maxWindow)
	case o.Support < 1 || o.Support > maxSeen/2:
		return nil, fmt.Errorf("support: %d, want 1 to %d", o.Support, maxSeen/2)
	case !(o.Confidence > 0 && o.Confidence <= 1):
		return nil, fmt.Errorf("confidence: %v, want a share above 0", o.Confidence)
	}
	width := bits.Len(uint(max(o.Keys/rowWays, 1) - 1))
	return &Association{
		options: o, shift: uint(64 - width), rows: make([]row, rowWays<<width),
		latest: make(map[policies.KeyHash]int),
	}, nil
}

// Info describes the policy.
func (a *Association) Info() policies.Info {
	return policies.Info{
		Name: "association", Version: "1", Kind: policies.KindPrefetch,
		Columns: []policies.Column{policies.ColResident},
	}
}

// Observe learns from hits and misses; inserts and removals tell where keys
// lie.
func (a *Association) Observe(events []policies.Event, inserts []policies.Insert) error {
	for i := range events {
		e := &events[i]
		switch e.Op {
		case policies.OpHit:
			if a.holds(e.Slot) {
				a.access(a.keys[e.Slot], e.Slot)
			}
			continue
		case policies.OpRemove, policies.OpExpire:
			if a.holds(e.Slot) {
				a.held[e.Slot>>6] &^= 1 << (e.Slot & 63)
			}
			continue
		}
		if !e.Op.HasInsert() || len(inserts) == 0 {
			continue
		}
		in := &inserts[0]
		inserts = inserts[1:]
		switch e.Op {
		case policies.OpMiss:
			a.access(in.KeyHash, unknownSlot)
		case policies.OpInsert, policies.OpRestore:
			a.hold(e.Slot, in.KeyHash)
		}
	}
	return nil
}

func (a *Association) holds(s policies.Slot) bool {
	w := uint(s >> 6)
	return w < uint(len(a.held)) && a.held[w]>>(s&63)&1 != 0
}

// hold notes which key lies in a slot.
func (a *Association) hold(s policies.Slot, h policies.KeyHash) {
	if s == policies.NoSlot {
		return
	}
	if w := int(s >> 6); w >= len(a.held) {
		a.held = append(a.held, make([]uint64, w+1-len(a.held))...)
		a.keys = append(a.keys, make([]policies.KeyHash, len(a.held)*64-len(a.keys))...)
	}
	a.keys[s] = h
	a.held[s>>6] |= 1 << (s & 63)
	if r := a.find(h); r != nil {
		r.slot = s
	}
}

func (a *Association) bucket(h policies.KeyHash) []row {
	x := uint64(h)
	x = (x ^ x>>32) * 0x9E3779B97F4A7C15
	b := int((x^x>>29)*0xBF58476D1CE4E5B9>>a.shift) * rowWays
	return a.rows[b : b+rowWays]
}

// find returns the row of a key, nil where there is none.
func (a *Association) find(h policies.KeyHash) *row {
	b := a.bucket(h)
	for i := range b {
		if b[i].seen > 0 && b[i].key == h {
			return &b[i]
		}
	}
	return nil
}

// access counts an access of a key after those of the window.
func (a *Association) access(h policies.KeyHash, s policies.Slot) {
	for i := range a.options.Window {
		v := a.window[(a.position-1-i)&(maxWindow-1)]
		if v.key == h && v.row != nil {
			break
		}
		if v.row != nil && v.row.key == v.key {
			v.row.follow(h)
		}
	}
	r := a.enter(h)
	if r != nil && s != unknownSlot {
		r.slot = s
	}
	a.window[a.position&(maxWindow-1)] = visit{row: r, key: h}
	a.position++
	if len(a.triggers) == maxTriggers {
		a.triggers = append(a.triggers[:0], a.triggers[maxTriggers/2:]...)
	}
	a.triggers = append(a.triggers, h)
}

// enter counts an access in the row of a key and returns it. A key without a
// row takes a free one, or else wears down the least used of its bucket and
// gets none yet: a row in use survives keys that come once.
func (a *Association) enter(h policies.KeyHash) *row {
	b := a.bucket(h)
	least := &b[0]
	for i := range b {
		r := &b[i]
		if r.seen > 0 && r.key == h {
			r.see()
			return r
		}
		if r.seen < least.seen {
			least = r
		}
	}
	if least.seen > 1 {
		least.halve()
		return nil
	}
	*least = row{key: h, seen: 1, slot: unknownSlot}
	return least
}

func (r *row) see() {
	if r.seen == maxSeen {
		r.halve()
	}
	r.seen++
}

func (r *row) halve() {
	r.seen /= 2
	for i := range r.count {
		r.count[i] /= 2
	}
}

// follow counts a successor; one that is not known wears down the rarest.
func (r *row) follow(h policies.KeyHash) {
	rarest := 0
	for i := range r.next {
		if r.count[i] > 0 && r.next[i] == h {
			if r.count[i] < maxSeen {
				r.count[i]++
			}
			return
		}
		if r.count[i] < r.count[rarest] {
			rarest = i
		}
	}
	if r.count[rarest] > 1 {
		r.count[rarest]--
		return
	}
	r.next[rarest], r.count[rarest] = h, 1
}

// Propose writes the successors of the keys asked for since the last proposal,
// the most certain first.
func (a *Association) Propose(in *policies.Candidates, budget int, out []policies.KeyHash) (int, error) {
	a.choices = a.choices[:0]
	clear(a.latest)
	for i, h := range a.triggers {
		a.latest[h] = i
	}
	for i, h := range a.triggers {
		if r := a.find(h); r != nil && a.latest[h] == i {
			a.propose(r, i)
		}
	}
	a.triggers = a.triggers[:0]
	for i, h := range in.KeyHash {
		if in.Value(policies.ColResident, i) == 1 {
			a.choices = slices.DeleteFunc(a.choices, func(c choice) bool { return c.key == h })
		}
	}
	slices.SortFunc(a.choices, better)
	return write(a.choices, budget, out), nil
}

// propose adds the successors of a key that was asked for at a position.
func (a *Association) propose(r *row, position int) {
	for i, h := range r.next {
		count := float64(r.count[i])
		confidence := count / float64(r.seen)
		if int(r.count[i]) < a.options.Support || confidence < a.options.Confidence {
			continue
		}
		if at, ok := a.latest[h]; ok && at > position {
			continue
		}
		if successor := a.find(h); successor != nil && a.resident(successor) {
			continue
		}
		a.choices = append(a.choices, choice{key: h, value: confidence})
	}
}

// resident reports whether a key lies where it was last seen.
func (a *Association) resident(r *row) bool {
	return r.slot != unknownSlot && a.holds(r.slot) && a.keys[r.slot] == r.key
}
