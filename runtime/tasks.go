package perfopt

import (
	"context"

	"github.com/perfopt/perfopt/scheduler"
)

// Priority orders work that waits: see package scheduler.
type Priority = scheduler.Priority

// The priorities, most important first.
const (
	Critical   = scheduler.Critical
	High       = scheduler.High
	Normal     = scheduler.Normal
	Low        = scheduler.Low
	Background = scheduler.Background
)

// Result is the outcome of one task of a batch.
type Result[T any] = scheduler.Result[T]

// RejectedError is returned for work that was not admitted; it says why and
// when to try again.
type RejectedError = scheduler.RejectedError

// Do runs fn under the adaptive limit, waiting in the queue of its priority
// where the limit is reached. It returns fn's result, or a [*RejectedError]
// where fn was not admitted, or ctx's error. A panic of fn becomes an error.
// Safe for concurrent use.
func Do[T any](ctx context.Context, rt *Runtime, p Priority, fn func(context.Context) (T, error)) (T, error) {
	return scheduler.Do(ctx, rt.scheduler, p, fn)
}

// DoBatch runs all functions under the adaptive limit and returns their
// results in the order of fns; one that fails or is rejected does not stop the
// others. Safe for concurrent use.
func DoBatch[T any](ctx context.Context, rt *Runtime, p Priority, fns []func(context.Context) (T, error)) []Result[T] {
	return scheduler.DoBatch(ctx, rt.scheduler, p, fns)
}

type priorityKey struct{}

// WithPriority says at which priority a cache's loads run that ctx asks for;
// without it they are [Normal].
func WithPriority(ctx context.Context, p Priority) context.Context {
	return context.WithValue(ctx, priorityKey{}, p)
}

func priorityOf(ctx context.Context) Priority {
	if p, ok := ctx.Value(priorityKey{}).(Priority); ok {
		return p
	}
	return Normal
}
