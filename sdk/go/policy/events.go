package policy

import "iter"

// Events is a batch of the stream of accesses, in their order. It belongs to
// the host: nothing of it may be kept after the call.
type Events struct {
	now     Nanos
	rows    []Event
	inserts []Insert
}

// NewEvents returns a batch of events for tests; inserts has one row for each
// event whose Op [Op.HasInsert], in their order.
func NewEvents(now Nanos, rows []Event, inserts []Insert) *Events {
	return &Events{now: now, rows: rows, inserts: inserts}
}

// Len returns the number of events.
func (e *Events) Len() int { return len(e.rows) }

// Now returns the moment of the call on the host's clock; in a replay that is
// the trace's.
func (e *Events) Now() Nanos { return e.now }

// All yields each event together with its [Insert], which is nil for events
// that have none (hits, removals, expiries):
//
//	for ev, in := range e.All() {
//		switch ev.Op {
//		case policy.OpInsert:
//			p.add(ev.Slot, in.Weight)
//		case policy.OpHit:
//			p.touch(ev.Slot)
//		}
//	}
func (e *Events) All() iter.Seq2[Event, *Insert] {
	return func(yield func(Event, *Insert) bool) {
		next := 0
		for _, ev := range e.rows {
			var in *Insert
			if ev.Op.HasInsert() {
				in = &e.inserts[next]
				next++
			}
			if !yield(ev, in) {
				return
			}
		}
	}
}

// Rows returns the events and the insert rows as they lie in memory, for
// policies that want to join them by themselves.
func (e *Events) Rows() ([]Event, []Insert) { return e.rows, e.inserts }

var opNames = [...]string{"0", "hit", "insert", "update", "remove", "expire", "miss", "restore"}

// String returns the lower-case name of the operation.
func (o Op) String() string {
	if int(o) < len(opNames) {
		return opNames[o]
	}
	return "unknown"
}
