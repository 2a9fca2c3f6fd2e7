package guard

import (
	"fmt"
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perfopt/perfopt/policies"
)

// Options say when a policy is put in quarantine and who is told. The zero
// value is what we recommend.
type Options struct {
	// Window is the time in which Faults count together. Default 60 s.
	Window time.Duration
	// Faults is how many faults within Window end in quarantine. Default 3.
	Faults int
	// Ratio is the share of calls that may be faults once there were MinCalls.
	// Default 0.001.
	Ratio float64
	// MinCalls is how many calls there must be before Ratio counts. Default
	// 10,000.
	MinCalls uint64
	// Decisions is how many of the last decisions are kept. Default 256.
	Decisions int
	// OnFault, if set, is called after each fault, on the goroutine that asked
	// the policy, under no lock of this package.
	OnFault func(*policies.Fault)
	// OnQuarantine, if set, is called once, likewise, when the quarantine
	// begins.
	OnQuarantine func(why string)
}

func (o *Options) ensureDefaults() {
	if o.Window <= 0 {
		o.Window = time.Minute
	}
	if o.Faults <= 0 {
		o.Faults = 3
	}
	if o.Ratio <= 0 {
		o.Ratio = 0.001
	}
	if o.MinCalls == 0 {
		o.MinCalls = 10_000
	}
	if o.Decisions <= 0 {
		o.Decisions = 256
	}
}

// FuelMeter is implemented by instances that count what they use up.
type FuelMeter interface {
	// FuelUsed returns the fuel used since the instance began. Safe for
	// concurrent use.
	FuelUsed() uint64
}

// Health is the record of a policy in its seat; create it with [NewHealth].
// Safe for concurrent use.
type Health struct {
	options Options
	since   time.Time

	calls, rows, clamped, dropped, fuel atomic.Uint64

	faults [6]atomic.Uint64 // by the order of policies.FaultReasons
	times  histogram

	quarantined atomic.Bool

	mu sync.Mutex
	// guards the fields below, and of options Window, Faults, Ratio, MinCalls
	recent []time.Time // of the last faults, at most Options.Faults
	last   *policies.Fault
	why    string
	at     time.Time // when the quarantine began

	decisions ring
}

// NewHealth returns an empty record.
func NewHealth(o Options) *Health {
	o.ensureDefaults()
	now := time.Now()
	return &Health{options: o, since: now, decisions: ring{size: o.Decisions, since: now}}
}

// SetLimits changes Window, Faults, Ratio and MinCalls to those of o; they hold
// from the next fault on. The other options stay.
func (h *Health) SetLimits(o Options) {
	o.ensureDefaults()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.options.Window, h.options.Faults, h.options.Ratio, h.options.MinCalls = o.Window, o.Faults, o.Ratio, o.MinCalls
}

// Quarantined reports whether the policy is in quarantine.
func (h *Health) Quarantined() bool { return h.quarantined.Load() }

// Snapshot is the record at a moment.
type Snapshot struct {
	Since       time.Time // when the record began
	Calls       uint64    // calls of the policy: a batch is one
	Rows        uint64    // rows of all calls: events, candidates, victims wanted
	Faults      map[policies.FaultReason]uint64
	LastFault   *policies.Fault // nil = none
	Clamped     uint64          // answers that were moved into their bounds
	Dropped     uint64          // proposals that were left out: repeated, or of a key not known any more
	MeanNanos   float64         // time of a call
	P99Nanos    float64         // of calls, within 12 %; 0 = no call yet
	RowNanos    float64         // time of a row
	Fuel        uint64          // fuel used; 0 where nothing meters it
	Quarantined bool
	Why         string    // why it is in quarantine
	At          time.Time // since when; zero = it is not
}

// TotalFaults returns the number of faults of all reasons.
func (s *Snapshot) TotalFaults() uint64 {
	var sum uint64
	for _, n := range s.Faults {
		sum += n
	}
	return sum
}

// Snapshot returns the record as it is now. Faults has every reason.
func (h *Health) Snapshot() Snapshot {
	s := Snapshot{
		Since: h.since, Calls: h.calls.Load(), Rows: h.rows.Load(), Clamped: h.clamped.Load(),
		Dropped: h.dropped.Load(), Fuel: h.fuel.Load(), Faults: make(map[policies.FaultReason]uint64),
		Quarantined: h.quarantined.Load(), P99Nanos: h.times.quantile(0.99),
	}
	for i, reason := range policies.FaultReasons() {
		s.Faults[reason] = h.faults[i].Load()
	}
	if n := h.times.count.Load(); n > 0 {
		s.MeanNanos = float64(h.times.sum.Load()) / float64(n)
	}
	if n := h.times.rows.Load(); n > 0 {
		s.RowNanos = float64(h.times.sum.Load()) / float64(n)
	}
	h.mu.Lock()
	s.Why, s.At, s.LastFault = h.why, h.at, h.last
	h.mu.Unlock()
	return s
}

// exactTimes is the number of calls that are all timed; later every 16th is.
const exactTimes = 1024

// begin counts a call and returns when it began, zero where it is not timed.
func (h *Health) begin(rows int) (start time.Time) {
	n := h.calls.Add(1)
	h.rows.Add(uint64(rows))
	if n <= exactTimes || n%16 == 0 {
		return time.Now()
	}
	return time.Time{}
}

func (h *Health) end(start time.Time, rows int) {
	if !start.IsZero() {
		h.times.add(time.Since(start), rows)
	}
}

// fault counts a fault and decides on the quarantine.
func (h *Health) fault(f *policies.Fault) {
	for i, reason := range policies.FaultReasons() {
		if f.Reason == reason {
			h.faults[i].Add(1)
		}
	}
	why := h.judge(f)
	if h.options.OnFault != nil {
		h.options.OnFault(f)
	}
	if why != "" && h.options.OnQuarantine != nil {
		h.options.OnQuarantine(why)
	}
}

// judge returns why the quarantine begins with this fault, "" if it does not.
func (h *Health) judge(f *policies.Fault) string {
	now, total := time.Now(), uint64(0)
	for i := range h.faults {
		total += h.faults[i].Load()
	}
	calls := h.calls.Load()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = f
	h.recent = append(h.recent, now)
	if extra := len(h.recent) - h.options.Faults; extra > 0 {
		h.recent = append(h.recent[:0], h.recent[extra:]...)
	}
	if h.quarantined.Load() {
		return ""
	}
	switch {
	case len(h.recent) == h.options.Faults && now.Sub(h.recent[0]) <= h.options.Window:
		h.why = fmt.Sprintf("%d faults within %v; the last: %s", h.options.Faults, h.options.Window, f.Detail)
	case calls >= h.options.MinCalls && float64(total) > h.options.Ratio*float64(calls):
		h.why = fmt.Sprintf("%d faults in %d calls; the last: %s", total, calls, f.Detail)
	default:
		return ""
	}
	h.at = now
	h.quarantined.Store(true)
	return h.why
}

// histogram counts durations in buckets of a quarter octave.
type histogram struct {
	count, sum, rows atomic.Uint64
	buckets          [64 * 4]atomic.Uint64
}

func (g *histogram) add(d time.Duration, rows int) {
	n := uint64(max(d, 1))
	g.count.Add(1)
	g.sum.Add(n)
	g.rows.Add(uint64(rows))
	octave := bits.Len64(n) - 1
	quarter := n << (63 - octave) >> 61 & 3
	g.buckets[octave*4+int(quarter)].Add(1)
}

// quantile returns the middle of the bucket that holds the quantile, 0 where
// nothing was counted.
func (g *histogram) quantile(q float64) float64 {
	var total uint64
	for i := range g.buckets {
		total += g.buckets[i].Load()
	}
	rank := uint64(math.Ceil(q * float64(total)))
	for i := range g.buckets {
		n := g.buckets[i].Load()
		if n > 0 && rank <= n {
			return math.Ldexp(1+(float64(i%4)+0.5)/4, i/4)
		}
		rank -= min(n, rank)
	}
	return 0
}
