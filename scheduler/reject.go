package scheduler

import (
	"context"
	"fmt"
	"time"
)

// RejectReason says why work was not admitted.
type RejectReason uint8

// The reasons of a rejection.
const (
	RejectQueueFull   RejectReason = iota // the queue is full of work that is at least as important
	RejectShed                            // pushed out of a full queue by more important work
	RejectWouldExpire                     // the wait is estimated to outlast the caller's deadline or Options.MaxWait
	RejectDeadline                        // the caller's deadline leaves no time for the work itself, or passed
	RejectTimeout                         // waited for Options.MaxWait
	RejectDraining                        // the scheduler admits nothing more, see Drain
	RejectClosed                          // the scheduler is closed

	numRejectReasons = iota
)

var rejectNames = [numRejectReasons]string{
	"queue_full", "shed", "would_expire", "deadline", "timeout", "draining", "closed",
}

// String returns the name of the reason.
func (r RejectReason) String() string {
	if int(r) < len(rejectNames) {
		return rejectNames[r]
	}
	return "unknown"
}

// MarshalText implements [encoding.TextMarshaler].
func (r RejectReason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// RejectedError is the error of work that was not admitted; it never began.
// errors.Is finds context.DeadlineExceeded in those whose deadline is the
// reason.
type RejectedError struct {
	Reason   RejectReason
	Priority Priority
	// RetryAfter is when trying again may succeed: the time that the present
	// queue is estimated to need, at least a tick and at most a minute, plus up
	// to half of it at random, so that rejected callers do not return together.
	RetryAfter time.Duration
}

// Error returns the reason and when to try again.
func (e *RejectedError) Error() string {
	return fmt.Sprintf("%s work rejected: %s: retry after %v", e.Priority, e.Reason, e.RetryAfter.Round(time.Millisecond))
}

// Unwrap returns context.DeadlineExceeded where the caller's deadline is the
// reason, else nil.
func (e *RejectedError) Unwrap() error {
	if e.Reason == RejectDeadline || e.Reason == RejectWouldExpire {
		return context.DeadlineExceeded
	}
	return nil
}
