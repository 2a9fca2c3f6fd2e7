package perfopt

import (
	"context"
	"errors"
	"sync"
)

// eventBuffer bounds what a slow subscriber may leave unread; older events are
// then dropped, since each statistics event replaces the one before.
const eventBuffer = 64

// event is something that a subscriber of /v1/events is told.
type event struct {
	name string
	data any
}

// eventHub hands events to subscribers. Safe for concurrent use; publishing
// never waits.
type eventHub struct {
	mu sync.Mutex
	// guards the fields below
	subscribers map[chan event]struct{}
	closed      bool
}

func newEventHub() *eventHub { return &eventHub{subscribers: map[chan event]struct{}{}} }

func (h *eventHub) publish(name string, data any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for ch := range h.subscribers {
		select {
		case ch <- event{name, data}:
		default:
			select {
			case <-ch:
			default:
			}
			ch <- event{name, data} // only this goroutine sends: there is room
		}
	}
}

// watched reports whether anybody listens.
func (h *eventHub) watched() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.subscribers) > 0
}

// subscribe calls send until ctx is done, send fails or the hub is closed.
func (h *eventHub) subscribe(ctx context.Context, send func(string, any) error) error {
	ch := make(chan event, eventBuffer)
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return errClosed
	}
	h.subscribers[ch] = struct{}{}
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		delete(h.subscribers, ch)
		h.mu.Unlock()
	}()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e, ok := <-ch:
			if !ok {
				return errClosed
			}
			if err := send(e.name, e.data); err != nil {
				return err
			}
		}
	}
}

func (h *eventHub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.closed = true
	for ch := range h.subscribers {
		close(ch)
		delete(h.subscribers, ch)
	}
}

var errClosed = errors.New("the runtime is shut down")
