package proxy

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"github.com/perfopt/perfopt/cache/tiered"
	"github.com/perfopt/perfopt/scheduler"
)

// ErrNotRepeatable is the error of [Proxy.Load] for a key from which no request
// can be made: no client asked for it lately and got an answer that was stored,
// or its answer depends on who asks.
var ErrNotRepeatable = errors.New("no client's request for this key can be repeated")

const maxRepeatable = 1 << 15

// repeatables remembers, for keys whose answers were stored, how to ask for
// them again. It is bounded: the oldest keys are forgotten. Safe for concurrent
// use.
type repeatables struct {
	mu sync.Mutex // guards the fields below
	by map[string]repeatable
	// order is a ring of the keys in by, oldest at next once it is full.
	order []string
	next  int
}

type repeatable struct {
	req    *originRequest
	marker *Response // under which the key is a variant, or nil
}

// personalFields are fields that say who asks, or that make sense once only.
// What depends on them is never asked for without a client.
var personalFields = []string{"Cookie", "Authorization", "Proxy-Authorization", "X-Forwarded-For", "X-Api-Key"}

// add remembers the request for a key: its target and the fields by which the
// answer varies, nothing else of the client.
func (s *repeatables) add(key string, from *originRequest, m *Response) {
	s.mu.Lock()
	_, known := s.by[key]
	s.mu.Unlock()
	if known || from.authorization {
		return
	}
	header := http.Header{
		"X-Forwarded-Host": from.header["X-Forwarded-Host"], "X-Forwarded-Proto": from.header["X-Forwarded-Proto"],
		"User-Agent": nil, "Via": {via},
	}
	if m != nil {
		for _, name := range m.marker.names {
			for _, personal := range personalFields {
				if name == personal {
					return
				}
			}
			if values, ok := from.header[name]; ok {
				header[name] = values
			}
		}
	}
	req := *from
	req.header, req.prefetch, req.cookie, req.noStore = header, true, false, false
	req.priority = scheduler.Background

	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.by[key]; known {
		return
	}
	if s.by == nil {
		s.by = make(map[string]repeatable)
	}
	if len(s.order) < maxRepeatable {
		s.order = append(s.order, key)
	} else {
		delete(s.by, s.order[s.next])
		s.order[s.next] = key
		s.next = (s.next + 1) % maxRepeatable
	}
	s.by[key] = repeatable{&req, m}
}

func (s *repeatables) get(key string) (repeatable, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.by[key]
	return r, ok
}

// Load asks the origin for a key on behalf of the prefetch policy, at
// background priority, and returns what a cache stores; it has the form of a
// [tiered.Loader]. Only requests are repeated that a client made with GET and
// whose answer was stored, to the same target of the same origin, without
// anything of the client but the fields by which the answer varies. A redirect
// is an answer like another: it is not followed. Errors: [ErrNotRepeatable],
// [*scheduler.RejectedError] and those of the origin. Safe for concurrent use.
func (p *Proxy) Load(ctx context.Context, key string, prior tiered.Prior[*Response]) (tiered.Loaded[*Response], error) {
	r, ok := p.repeatable.get(key)
	if !ok {
		return tiered.Loaded[*Response]{NoStore: true}, ErrNotRepeatable
	}
	req := *r.req
	req.since = p.changes.now(req.base)
	return p.loader(&req, r.marker, nil)(ctx, key, prior)
}
