package guard

import (
	"math"
	"sync"
	"time"

	"github.com/perfopt/perfopt/policies"
)

// Decision is one decision with what it was made from.
type Decision struct {
	At      time.Time
	Inputs  map[string]float64 // by name of column or field; unknown values are left out
	Outputs map[string]float64
	Reason  string // why, in a word; empty where the policy gives none
}

// maxInputs is the number of inputs that a decision may keep.
const maxInputs = 32

// entry is a decision without maps, so that recording allocates nothing.
type entry struct {
	at      time.Duration // since the health began
	kind    policies.Kind
	mask    uint32 // which inputs were provided
	inputs  [maxInputs]float64
	outputs [2]float64
	reason  policies.Reason
	fault   policies.FaultReason // why the fallback decided; empty = it did not
}

// ring keeps the last decisions.
type ring struct {
	mu sync.Mutex
	// guards the fields below
	entries []entry
	next    uint64

	size  int
	since time.Time
}

// record lets fill write the next entry. It skips the decision when another
// goroutine is recording or reading: the record is lossy so that decisions
// never wait for each other.
func (r *ring) record(kind policies.Kind, fill func(*entry)) {
	if !r.mu.TryLock() {
		return
	}
	defer r.mu.Unlock()
	if len(r.entries) < r.size {
		r.entries = append(r.entries, entry{})
	}
	e := &r.entries[r.next%uint64(r.size)]
	r.next++
	e.at, e.kind, e.mask, e.outputs, e.reason, e.fault = time.Since(r.since), kind, 0, [2]float64{}, 0, ""
	fill(e)
}

func (e *entry) set(i int, v float64) {
	e.mask |= 1 << i
	e.inputs[i] = v
}

// Decisions returns the last decisions, newest first.
func (h *Health) Decisions() []Decision {
	h.decisions.mu.Lock()
	entries := make([]entry, 0, len(h.decisions.entries))
	for i := range uint64(len(h.decisions.entries)) {
		entries = append(entries, h.decisions.entries[(h.decisions.next-1-i)%uint64(h.decisions.size)])
	}
	h.decisions.mu.Unlock()
	out := make([]Decision, len(entries))
	for i := range entries {
		out[i] = entries[i].decision()
		out[i].At = h.since.Add(entries[i].at)
	}
	return out
}

func (e *entry) decision() Decision {
	d := Decision{Inputs: make(map[string]float64), Outputs: make(map[string]float64)}
	for i, v := range e.inputs {
		if e.mask>>i&1 != 0 && !math.IsNaN(v) && !math.IsInf(v, 0) {
			d.Inputs[inputName(e.kind, i)] = v
		}
	}
	for i, name := range outputNames[e.kind] {
		if name != "" {
			d.Outputs[name] = e.outputs[i]
		}
	}
	switch {
	case e.fault != "":
		d.Reason = "fallback: " + string(e.fault)
	case e.kind == policies.KindScaling:
		d.Reason = e.reason.String()
	}
	return d
}

var outputNames = map[policies.Kind][2]string{
	policies.KindEviction: {"victims", "first_slot"},
	policies.KindTTL:      {"ttl_s", "rows"},
	policies.KindPrefetch: {"proposed", ""},
	policies.KindScaling:  {"limit", ""},
}

var loadNames = [...]string{
	"tick", "limit", "min_limit", "max_limit", "in_flight", "max_in_flight",
	"queued_critical", "queued_high", "queued_normal", "queued_low", "queued_background",
	"cpu", "memory", "throttled", "error_rate", "mean_ms", "p50_ms", "p95_ms", "p99_ms",
	"target_ms", "baseline_ms", "completions", "arrivals", "throughput", "rejected", "window_s",
}

func inputName(kind policies.Kind, i int) string {
	switch kind {
	case policies.KindScaling:
		return loadNames[i]
	case policies.KindEviction:
		return "need"
	case policies.KindPrefetch:
		return [...]string{"candidates", "budget"}[i]
	}
	return policies.Column(i).String()
}
