package tiered

import (
	"sync"
	"time"
)

const (
	// memory is how many loads and how many settled prefetches the budget
	// looks back on.
	memory = 1000
	// trialIssues may be under way before any accuracy is known, and as many
	// must be settled before it counts.
	trialIssues = 32
	// maxOutstanding bounds the prefetches whose use is not settled yet.
	maxOutstanding = 256
	// While the accuracy is too low one prefetch at a time is tried, at first
	// once a minProbeWait; each one wasted doubles the wait up to maxProbeWait.
	// Of probesToReturn, half must be useful for prefetching to go on.
	minProbeWait   = time.Minute
	maxProbeWait   = time.Hour
	probesToReturn = 16
)

// Why the budget gives nothing, and "on" where it gives something.
const (
	prefetchOn       = "on"
	prefetchNoPolicy = "off: no policy"
	prefetchFault    = "off: the policy failed"
	prefetchPressure = "off: under pressure"
	prefetchShare    = "off: share of loads used up"
	prefetchAccuracy = "off: too few were useful"
	prefetchWaiting  = "off: waiting for the use of those issued"
	prefetchProbing  = "probing"
)

// budget bounds prefetching by its share of the loads and by how useful it has
// been. Safe for concurrent use.
type budget struct {
	maxShare    float64
	minAccuracy float64

	mu       sync.Mutex // guards the fields below
	loads    window     // true: by a prefetch
	outcomes window     // true: useful
	probes   window     // true: useful; outcomes while off
	off      bool
	wait     time.Duration // between probes
	next     time.Time     // of the next probe

	issued, useful, wasted, failed uint64
	outstanding                    int
}

// window is the last memory yes-or-no outcomes and how many were yes.
type window struct {
	last [memory]bool
	at   int
	n    int
	yes  int
}

func (w *window) add(yes bool) {
	if w.n == memory && w.last[w.at] {
		w.yes--
	}
	w.last[w.at] = yes
	w.at = (w.at + 1) % memory
	w.n = min(w.n+1, memory)
	if yes {
		w.yes++
	}
}

func (w *window) share() float64 {
	if w.n == 0 {
		return 0
	}
	return float64(w.yes) / float64(w.n)
}

// loaded counts a load.
func (b *budget) loaded(prefetch bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.loads.add(prefetch)
}

// allow returns how many prefetches may be issued now, at most want, and why.
func (b *budget) allow(now time.Time, want int) (int, string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	// With n more the share of the last loads must still hold.
	n := 0
	for n < want && float64(b.loads.yes+n+1) <= b.maxShare*float64(min(b.loads.n+n+1, memory)) {
		n++
	}
	if n == 0 {
		return 0, prefetchShare
	}
	if b.off {
		if now.Before(b.next) || b.outstanding > 0 {
			return 0, prefetchAccuracy
		}
		b.next = now.Add(b.wait)
		return 1, prefetchProbing
	}
	limit := maxOutstanding
	if b.outcomes.n < trialIssues {
		limit = trialIssues
	}
	if n = min(n, limit-b.outstanding); n <= 0 {
		return 0, prefetchWaiting
	}
	return n, prefetchOn
}

// issue counts a prefetch whose use is to be settled.
func (b *budget) issue() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.issued++
	b.outstanding++
}

// settle ends the question of one prefetch.
func (b *budget) settle(now time.Time, useful bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.outstanding--
	if useful {
		b.useful++
	} else {
		b.wasted++
	}
	if !b.off {
		b.outcomes.add(useful)
		if b.outcomes.n >= trialIssues && b.outcomes.share() < b.minAccuracy {
			b.off, b.wait, b.probes = true, minProbeWait, window{}
			b.next = now.Add(b.wait)
		}
		return
	}
	b.probes.add(useful)
	if useful {
		b.wait = minProbeWait
	} else {
		b.wait = min(2*b.wait, maxProbeWait)
	}
	b.next = now.Add(b.wait)
	if b.probes.n >= probesToReturn {
		if b.probes.share() >= 0.5 {
			b.off, b.outcomes = false, window{}
		}
		b.probes = window{}
	}
}

// fail counts a prefetch whose load brought nothing.
func (b *budget) fail() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed++
}

func (b *budget) fillStats(s *PrefetchStats) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.Issued, s.Useful, s.Wasted, s.Failed = b.issued, b.useful, b.wasted, b.failed
	s.Outstanding = b.outstanding
	s.Accuracy, s.Share = b.outcomes.share(), b.loads.share()
	s.Settled = b.outcomes.n
}
