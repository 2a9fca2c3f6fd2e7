package scheduler

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// Task is a piece of work.
type Task[T any] func(context.Context) (T, error)

// Result is how one task of a batch ended.
type Result[T any] struct {
	Value T
	Err   error
}

// PanicError is the error of a task (or a policy) that panicked.
type PanicError struct {
	Value any    // what it panicked with
	Stack []byte // where
}

// Error returns the value of the panic; the stack is in the field.
func (e *PanicError) Error() string { return fmt.Sprintf("panicked: %v", e.Value) }

// ErrTaskExited is the error of a task in a batch that ended its goroutine
// (runtime.Goexit), and of the tasks after it if no goroutine is left for them.
var ErrTaskExited = errors.New("task ended its goroutine")

// Unwrap returns the value of the panic if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Do waits for a permit, runs the task on the caller's goroutine and releases
// the permit. A task that panics fails with a [PanicError]; one that was not
// admitted with a [RejectedError], or with the context's error if that was
// cancelled.
//
// A task must not call Do of the same scheduler for work that it waits for: with
// every permit held by such a task, none can go on.
func Do[T any](ctx context.Context, s *Scheduler, p Priority, task func(context.Context) (T, error)) (T, error) {
	permit, err := s.Acquire(ctx, p)
	if err != nil {
		var none T
		return none, err
	}
	return run(ctx, &permit, task)
}

// run runs a task and releases its permit, whatever the task does.
func run[T any](ctx context.Context, permit *Permit, task func(context.Context) (T, error)) (value T, err error) {
	outcome := Failed // also of a task that ends its goroutine
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{Value: p, Stack: debug.Stack()}
		}
		permit.Release(outcome)
	}()
	value, err = task(ctx)
	outcome = outcomeOf(ctx, err)
	return value, err
}

// outcomeOf judges an error: a caller who left, and a rejection by a scheduler
// further down, say nothing about the backend; a deadline that passed says how
// long it took at least.
func outcomeOf(ctx context.Context, err error) Outcome {
	var rejected *RejectedError
	switch {
	case err == nil:
		return OK
	case errors.Is(ctx.Err(), context.Canceled), errors.As(err, &rejected):
		return Ignored
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return Late
	}
	return Failed
}

// DoBatch runs every task as by [Do] and returns their results in the order of
// the tasks. Each task has a permit of its own, so more important work goes in
// between; at most half of the limit is used by one batch at a time. Once the
// context is done, the tasks that have not begun fail with its error.
func DoBatch[T any](ctx context.Context, s *Scheduler, p Priority, tasks []func(context.Context) (T, error)) []Result[T] {
	results := make([]Result[T], len(tasks))
	for i := range results {
		results[i].Err = ErrTaskExited // until the task says otherwise
	}
	workers := min(len(tasks), max(1, int(s.gate.limit.Load()/2)))
	var next atomic.Int64
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(tasks); i = int(next.Add(1)) - 1 {
				results[i].Value, results[i].Err = Do(ctx, s, p, tasks[i])
			}
		})
	}
	wait.Wait()
	return results
}
