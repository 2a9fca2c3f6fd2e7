package linear

import (
	"sync"
	"time"

	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/features"
)

// The bounds of an [Accuracy].
const (
	// maxPending is how many predictions wait for their outcome.
	maxPending = 1024
	// binCount is the number of calibration bins.
	binCount = 10
	// maxShift ends the thinning of the sample: one key in 2^24.
	maxShift = 24
)

// Accuracy measures a predictor on a sample of the keys, chosen by hash: after
// each access of a sampled key it notes what the predictor says and, once the
// key is asked for again or the horizon is over, what happened. The sample is
// thinned by half whenever more than 1,024 predictions wait. It costs a look at
// the hash for each other event.
//
// Predictions are made at accesses: a report says how well the next access is
// foreseen at the present one, not how well a cold resident is judged. Nothing
// counts before one horizon is over: until then only keys that were asked again
// have an outcome, and every predictor would look certain of it.
//
// Observe is called by maintenance; Report by anyone.
type Accuracy struct {
	predictor *Predictor
	table     *features.Table

	// The fields below belong to the goroutine that observes.
	shift   uint
	pending map[policies.KeyHash]prediction
	batch   uint64         // number of the present batch
	from    policies.Nanos // when outcomes begin to count; 0 = no batch yet
	queue   []wait         // in the order of their ends, from first on
	first   int
	rows    policies.Candidates

	mu sync.Mutex
	// guards the fields below
	bins  [binCount]bin
	share uint // the sample's shift, for reports
}

type prediction struct {
	p     float64
	end   policies.Nanos
	batch uint64 // in which it was made
	slot  policies.Slot
}

type wait struct {
	key policies.KeyHash
	end policies.Nanos
}

type bin struct {
	n, hits   float64
	sum       float64 // of predictions
	sumSquare float64 // of errors
}

// NewAccuracy returns a measurement of a predictor on the keys of a table.
func NewAccuracy(p *Predictor, t *features.Table) *Accuracy {
	return &Accuracy{predictor: p, table: t, pending: make(map[policies.KeyHash]prediction)}
}

// Observe takes in a batch that the table has observed already.
func (a *Accuracy) Observe(now policies.Nanos, events []policies.Event, inserts []policies.Insert) {
	if a.from == 0 {
		a.from = now + policies.Nanos(a.predictor.Horizon())
	}
	a.expire(now)
	a.batch++
	for i := range events {
		e := &events[i]
		switch {
		case e.Op == policies.OpHit:
			if h := a.table.KeyHash(e.Slot); a.sampled(h) {
				a.access(now, h, e.Slot)
			}
		case e.Op.HasInsert() && len(inserts) > 0:
			h := inserts[0].KeyHash
			inserts = inserts[1:]
			if e.Op == policies.OpMiss && a.sampled(h) {
				a.access(now, h, policies.NoSlot)
			}
		}
	}
}

// sampled reports whether a key is in the sample; at first all keys are.
func (a *Accuracy) sampled(h policies.KeyHash) bool {
	x := uint64(h)
	x = (x ^ x>>32) * 0xD6E8FEB86659FD93
	return x>>(64-a.shift) == 0
}

func (a *Accuracy) access(now policies.Nanos, h policies.KeyHash, s policies.Slot) {
	waiting, ok := a.pending[h]
	if ok {
		a.learn(now, waiting.p, 1)
		if waiting.batch == a.batch && waiting.slot == s {
			return // what the table says has not changed, nor has the prediction
		}
		delete(a.pending, h)
	}
	if len(a.pending) >= maxPending && !a.thin(h) {
		return
	}
	a.rows.Now = now
	a.rows.Resize(1, columns())
	a.table.FillKey(&a.rows.Rows, 0, h, s, s != policies.NoSlot)
	end := now + policies.Nanos(a.predictor.Horizon())
	a.pending[h] = prediction{p: a.predictor.row(&a.rows.Rows, 0), end: end, batch: a.batch, slot: s}
	if ok && waiting.end == end {
		return // it waits in the queue already
	}
	a.queue = append(a.queue, wait{key: h, end: end})
	if len(a.queue) > 4*maxPending {
		a.compact()
	}
}

// thin halves the sample and reports whether the key is still in it.
func (a *Accuracy) thin(h policies.KeyHash) bool {
	if a.shift == maxShift {
		return false
	}
	a.shift++
	for key := range a.pending {
		if !a.sampled(key) {
			delete(a.pending, key)
		}
	}
	a.compact()
	a.mu.Lock()
	a.share = a.shift
	a.mu.Unlock()
	return a.sampled(h) && len(a.pending) < maxPending
}

// compact drops waits whose prediction was answered or replaced.
func (a *Accuracy) compact() {
	kept := a.queue[:0]
	for _, w := range a.queue[a.first:] {
		if waiting, ok := a.pending[w.key]; ok && waiting.end == w.end {
			kept = append(kept, w)
		}
	}
	a.queue, a.first = kept, 0
}

// expire ends the predictions whose horizon is over.
func (a *Accuracy) expire(now policies.Nanos) {
	for a.first < len(a.queue) && a.queue[a.first].end <= now {
		w := a.queue[a.first]
		a.first++
		if waiting, ok := a.pending[w.key]; ok && waiting.end == w.end {
			delete(a.pending, w.key)
			a.learn(now, waiting.p, 0)
		}
	}
	if a.first > maxPending {
		a.compact()
	}
}

func (a *Accuracy) learn(now policies.Nanos, p, outcome float64) {
	if now < a.from {
		return
	}
	a.mu.Lock()
	b := &a.bins[min(int(p*binCount), binCount-1)]
	b.n++
	b.hits += outcome
	b.sum += p
	b.sumSquare += (p - outcome) * (p - outcome)
	a.mu.Unlock()
}

// Report says how good the predictions were.
type Report struct {
	Horizon time.Duration
	// Share is the share of keys in the sample, 0..1.
	Share float64
	// Outcomes is the number of predictions whose outcome is known; with 0 the
	// numbers below are 0.
	Outcomes uint64
	// Brier is the mean of (p - outcome)^2, 0..1; lower is better.
	Brier float64
	// Base is the share of keys that were asked again, and BaseBrier the Brier
	// score of always predicting that share: what a predictor must beat.
	Base      float64
	BaseBrier float64
	// CalibrationError is the mean distance of prediction and outcome over the
	// bins, weighted by their outcomes.
	CalibrationError float64
	// Bins are the predictions by p, in tenths.
	Bins []Bin
}

// Bin is one bin of a calibration curve.
type Bin struct {
	Low, High float64 // of p
	Outcomes  uint64
	Predicted float64 // mean p
	Observed  float64 // share that was asked again
}

// Report returns the measurement so far. Safe for concurrent use.
func (a *Accuracy) Report() Report {
	a.mu.Lock()
	bins, shift := a.bins, a.share
	a.mu.Unlock()
	r := Report{Horizon: a.predictor.Horizon(), Share: 1 / float64(uint64(1)<<shift), Bins: make([]Bin, binCount)}
	var n, hits, square, distance float64
	for i, b := range bins {
		r.Bins[i] = Bin{Low: float64(i) / binCount, High: float64(i+1) / binCount, Outcomes: uint64(b.n)}
		if b.n > 0 {
			r.Bins[i].Predicted, r.Bins[i].Observed = b.sum/b.n, b.hits/b.n
			distance += max(b.sum-b.hits, b.hits-b.sum)
		}
		n, hits, square = n+b.n, hits+b.hits, square+b.sumSquare
	}
	r.Outcomes = uint64(n)
	if n > 0 {
		r.Brier, r.Base, r.CalibrationError = square/n, hits/n, distance/n
		r.BaseBrier = r.Base * (1 - r.Base)
	}
	return r
}
