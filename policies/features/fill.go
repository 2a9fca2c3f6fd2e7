package features

import (
	"math"

	"github.com/perfopt/perfopt/policies"
)

// Record is what the table knows about a key, as numbers for people.
type Record struct {
	KeyHash  policies.KeyHash
	Resident bool
	Pattern
	Prediction float64 // probability that the key is asked again within the horizon
	Weight     uint32  // of the entry, within 1.6 %; 0 where it never was resident
	LoadMillis float64 // what loading took, within 2.2 %; 0 = unknown
	TTLLeft    float64 // seconds until the entry expires; +Inf = never
}

// Record returns what is known about a resident. Safe for concurrent use.
func (t *Table) Record(s policies.Slot, now policies.Nanos) (Record, bool) {
	r := t.records.at(s)
	if r == nil {
		return Record{}, false
	}
	w := rest(r.rest.Load())
	if !w.held() {
		return Record{}, false
	}
	return t.describe(policies.KeyHash(r.hash.Load()), use(r.use.Load()), w, now), true
}

func (t *Table) describe(h policies.KeyHash, u use, w rest, now policies.Nanos) Record {
	p := t.pattern(u, w, now, uint64(t.epoch.Load()), t.clock.pattern(now))
	return Record{
		KeyHash: h, Resident: true, Pattern: p, Prediction: t.options.Predict(p),
		Weight: w.weight(), LoadMillis: classMillis(w.class()), TTLLeft: secondsLeft(now, w.due()),
	}
}

// Fill writes one row for each slot, at rows.Now: the key's hash and every
// column that rows provides. The caller has resized rows to len(slots). What
// the table does not know (age, bounds of a lifetime, changes) is NaN unless
// [Options].Complete says more. Safe for concurrent use as far as Complete is.
func (t *Table) Fill(rows *policies.Rows, slots []policies.Slot) {
	epoch, tod := uint64(t.epoch.Load()), t.clock.pattern(rows.Now)
	chunks := t.records.chunks()
	f := newFiller(t, rows)
	for i, s := range slots {
		p, w, resident := unknown(tod), rest(0), 0.0
		if r := recordIn(chunks, s); r != nil {
			w = rest(r.rest.Load())
			p = t.pattern(use(r.use.Load()), w, rows.Now, epoch, tod)
			rows.KeyHash[i] = policies.KeyHash(r.hash.Load())
			if w.held() {
				resident = 1
			}
		}
		f.row(i, &p, w, resident)
	}
	f.blanks(0, len(slots))
	if t.options.Complete != nil {
		t.options.Complete(rows, slots)
	}
}

// FillKey writes one row for a key at rows.Now, resident in a slot or not: then
// from the store of recent keys. Columns that belong to the question rather
// than to the key's past (bounds of a lifetime, changes, age) become NaN for
// the caller to set. Safe for concurrent use.
func (t *Table) FillKey(rows *policies.Rows, row int, h policies.KeyHash, s policies.Slot, resident bool) {
	tod := t.clock.pattern(rows.Now)
	p, w := unknown(tod), rest(0)
	var u use
	known, here := false, 0.0
	if resident {
		if r := t.records.at(s); r != nil && r.hash.Load() == uint64(h) {
			w, u = rest(r.rest.Load()), use(r.use.Load())
			known = w.held()
		}
		here = 1
	}
	if !known {
		u, w, known = t.recent.read(h)
	}
	if known {
		p = t.pattern(u, w, rows.Now, uint64(t.epoch.Load()), tod)
	}
	rows.KeyHash[row] = h
	f := newFiller(t, rows)
	f.row(row, &p, w, here)
	f.blanks(row, row+1)
}

// filler writes the columns that rows provides.
type filler struct {
	rows    *policies.Rows
	now     policies.Nanos
	predict func(Pattern) float64
	count, recency, slow, fast, trend, tod, confidence,
	prediction, size, cost, left, resident, next []float64
}

func newFiller(t *Table, rows *policies.Rows) filler {
	return filler{
		rows: rows, now: rows.Now, predict: t.options.Predict,
		count: rows.Column(policies.ColFreq), recency: rows.Column(policies.ColRecency),
		slow: rows.Column(policies.ColRateSlow), fast: rows.Column(policies.ColRateFast),
		trend: rows.Column(policies.ColTrend), tod: rows.Column(policies.ColTimeOfDay),
		confidence: rows.Column(policies.ColConfidence), prediction: rows.Column(policies.ColPrediction),
		size: rows.Column(policies.ColSize), cost: rows.Column(policies.ColLoadCost),
		left: rows.Column(policies.ColTTLLeft), resident: rows.Column(policies.ColResident),
		next: rows.Column(policies.ColNextAccess),
	}
}

func (f *filler) row(i int, p *Pattern, w rest, resident float64) {
	put := func(column []float64, v float64) {
		if column != nil {
			column[i] = v
		}
	}
	put(f.count, p.Count)
	put(f.recency, p.Recency)
	put(f.slow, p.Slow)
	put(f.fast, p.Fast)
	put(f.trend, p.Trend)
	put(f.tod, p.TimeOfDay)
	put(f.confidence, p.Confidence)
	put(f.size, float64(w.weight()))
	put(f.resident, resident)
	put(f.next, 60/p.Slow)
	if f.prediction != nil {
		f.prediction[i] = f.predict(*p)
	}
	if f.cost != nil {
		f.cost[i] = classMillis(w.class())
	}
	if f.left != nil {
		f.left[i] = secondsLeft(f.now, w.due())
	}
}

// asked are the columns that only the one who asks can know.
var asked = [...]policies.Column{
	policies.ColAge, policies.ColBaseTTL, policies.ColOriginTTL, policies.ColMinTTL,
	policies.ColMaxTTL, policies.ColChanged, policies.ColUnchanged,
}

func (f *filler) blanks(from, to int) {
	for _, c := range asked {
		if column := f.rows.Column(c); column != nil {
			for i := from; i < to; i++ {
				column[i] = math.NaN()
			}
		}
	}
}
