package tiered

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perfopt/perfopt/cache/l2"
	"github.com/perfopt/perfopt/policies"
)

const (
	// maxPurges bounds the prefixes that are remembered; above it the two oldest
	// become their common beginning, which voids more, never less.
	maxPurges = 64
	// maxPurgeText bounds a prefix; a longer one voids what begins with its
	// first bytes.
	maxPurgeText = 1024
	// purgeInterval is how often purges of other processes are looked up in L2.
	purgeInterval = 5 * time.Second
	// purgeRetry is the wait where L2 did not answer.
	purgeRetry = 250 * time.Millisecond
	// purgeKey is the list's key in L2 and purgeCodec its codec; keys of
	// entries do not begin with a zero byte in any sane use, and if one does,
	// its codec differs.
	purgeKey   = "\x00purges"
	purgeCodec = 255
)

// purge voids every entry whose key begins so and whose load began until then.
type purge struct {
	Prefix string         `json:"prefix"`
	At     policies.Nanos `json:"at"`
}

// purges is the list of purged prefixes. Reading is one atomic load.
type purges struct {
	list atomic.Pointer[purgeList]
	// known: the list of L2 has been read since L2 was last away, so what L2
	// holds can be judged. Written by syncPurges and the tier's state.
	known atomic.Bool
	nudge chan struct{} // capacity 1: L2 is back

	mu sync.Mutex // guards changes of list
}

// purgeList is immutable.
type purgeList struct {
	newest policies.Nanos
	list   []purge // oldest first
}

// PurgePrefix voids every entry whose key's text begins with prefix, in both tiers,
// at the cost of noting it: nothing is walked, entries leave as they are met or
// replaced. "" voids all. Other processes notice within five seconds. ctx is not
// waited on. Errors: [ErrNoKeyText].
func (c *Cache[K, V]) PurgePrefix(_ context.Context, prefix string) error {
	if prefix != "" && c.o.KeyString == nil {
		return ErrNoKeyText
	}
	c.purges.merge([]purge{{prefix[:min(len(prefix), maxPurgeText)], c.now()}})
	c.flights.forgetAll()
	if c.l2 != nil {
		c.publishPurges()
	}
	return nil
}

// void reports whether a purge covers the entry of a key.
func (c *Cache[K, V]) void(key K, asOf policies.Nanos) bool {
	p := c.purges.list.Load()
	if p == nil || asOf > p.newest {
		return false
	}
	text := ""
	if c.o.KeyString != nil {
		text = c.o.KeyString(key)
	}
	for _, x := range p.list {
		if asOf <= x.At && strings.HasPrefix(text, x.Prefix) {
			return true
		}
	}
	return false
}

// merge adds purges and reports whether the list has changed.
func (p *purges) merge(more []purge) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []purge
	if old := p.list.Load(); old != nil {
		list = slices.Clone(old.list)
	}
	changed := false
	for _, x := range more {
		changed = addPurge(&list, x) || changed
	}
	if !changed {
		return false
	}
	slices.SortStableFunc(list, func(a, b purge) int { return int(min(max(a.At-b.At, -1), 1)) })
	for len(list) > maxPurges {
		list[1].Prefix = commonPrefix(list[0].Prefix, list[1].Prefix)
		list = list[1:]
	}
	p.list.Store(&purgeList{newest: list[len(list)-1].At, list: list})
	return true
}

// addPurge adds x unless the list says as much, and takes out what x says
// better.
func addPurge(list *[]purge, x purge) bool {
	for _, old := range *list {
		if old.At >= x.At && strings.HasPrefix(x.Prefix, old.Prefix) {
			return false
		}
	}
	*list = slices.DeleteFunc(*list, func(old purge) bool {
		return old.At <= x.At && strings.HasPrefix(old.Prefix, x.Prefix)
	})
	*list = append(*list, x)
	return true
}

func commonPrefix(a, b string) string {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return a[:n]
}

// publishPurges writes the list to L2, where other processes and later starts
// of this one find it.
func (c *Cache[K, V]) publishPurges() {
	p := c.purges.list.Load()
	if p == nil {
		return
	}
	b, err := json.Marshal(p.list)
	if err != nil {
		return // strings and numbers always have an encoding
	}
	now := time.Now()
	c.l2.Put(purgeKey, l2.Entry{Value: b, Codec: purgeCodec, Created: now, FreshUntil: now.Add(maxKept), Expires: now.Add(maxKept)})
}

// syncPurges keeps the list and that of L2 the same, until Close. L2 is not
// read before its list is known.
func (c *Cache[K, V]) syncPurges() {
	for {
		wait := purgeInterval
		if !c.readPurges() {
			wait = purgeRetry
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-c.purges.nudge:
			timer.Stop()
		case <-c.stop:
			timer.Stop()
			return
		}
	}
}

// readPurges reads the list of L2 and adds to it what it lacks. It reports
// whether L2 answered.
func (c *Cache[K, V]) readPurges() bool {
	e, answer := c.l2.Read(c.flights.life, purgeKey)
	var theirs []purge
	switch answer {
	case l2.Away:
		return false
	case l2.Hit:
		if e.Codec != purgeCodec || json.Unmarshal(e.Value, &theirs) != nil || len(theirs) > maxPurges {
			theirs = nil
		}
	}
	c.purges.merge(clampPurges(theirs, c.now()))
	c.purges.known.Store(true)
	if ours := c.purges.list.Load(); ours != nil && !slices.Equal(ours.list, theirs) {
		c.publishPurges()
	}
	return true
}

// clampPurges keeps another's clock from voiding what is yet to be stored.
func clampPurges(list []purge, now policies.Nanos) []purge {
	for i := range list {
		list[i].At = min(list[i].At, now)
		list[i].Prefix = list[i].Prefix[:min(len(list[i].Prefix), maxPurgeText)]
	}
	return list
}
