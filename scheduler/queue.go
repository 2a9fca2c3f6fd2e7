package scheduler

// waiter is a caller that waits for a permit. The gate's lock guards it until
// ready is signalled; from then on it belongs to the caller.
type waiter struct {
	prev, next *waiter
	waiting    bool // linked into a queue

	priority Priority
	since    int64 // when the wait began
	latest   int64 // when a permit no longer helps
	reserve  bool  // latest is a deadline, so the work itself needs time before it

	rejected bool         // how the wait ended
	reason   RejectReason // why, if it was rejected
	at       int64        // when

	ready chan struct{} // holds one token once the wait has ended
}

// waiterQueue is a first-in first-out list of waiters from which any one can
// leave at once.
type waiterQueue struct {
	first, last *waiter
	n           int
}

func (q *waiterQueue) pushBack(w *waiter) {
	w.prev, w.next = q.last, nil
	if q.last == nil {
		q.first = w
	} else {
		q.last.next = w
	}
	q.last = w
	q.n++
	w.waiting = true
}

func (q *waiterQueue) remove(w *waiter) {
	if w.prev == nil {
		q.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		q.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.prev, w.next = nil, nil
	q.n--
	w.waiting = false
}
