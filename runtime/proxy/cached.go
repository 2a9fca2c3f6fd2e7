package proxy

import (
	"errors"
	"net/http"
	"time"

	"github.com/perfopt/perfopt/cache/tiered"
	"github.com/perfopt/perfopt/scheduler"
)

// cached answers a request that the cache deals with.
func (x *exchange) cached() {
	cc := requestDirectives(x.r.Header)
	key, m, item, ok := x.lookUp()
	if ok {
		now := time.Now().UnixNano()
		switch {
		case !item.Value.usable(x.authorization, x.cookie), demandsMore(cc, item, now):
			if x.onlyIfCached(cc) {
				return
			}
			x.status.fwd = fwdRequest
			if x.r.Method == http.MethodHead {
				x.pass(Miss)
				return
			}
			x.alone(key, m, cc)
		default:
			x.teach(key, m)
			x.hit(item, now)
		}
		return
	}
	switch {
	case x.onlyIfCached(cc):
	case x.r.Method == http.MethodHead:
		x.status.fwd = fwdURIMiss
		x.pass(Miss)
	case cc.noStore:
		x.forward(key, m)
		x.alone(key, m, cc)
	default:
		x.shared(key, m)
	}
}

// lookUp returns the fresh answer that the request selects, and in any case
// the key that it selects and the marker under which that is a variant.
func (x *exchange) lookUp() (key string, m *Response, item tiered.Item[*Response], ok bool) {
	key = x.key
	if item, ok = x.get(key); !ok || item.Value.marker == nil {
		return key, nil, item, ok
	}
	m = item.Value
	key = m.marker.key(x.key, x.selecting(m.marker.names))
	item, ok = x.get(key)
	return key, m, item, ok && item.Value.marker == nil
}

// get looks a key up. Only what is there counts as an access: what is not, a
// Fetch counts if one follows.
func (x *exchange) get(key string) (tiered.Item[*Response], bool) {
	return getFresh(x.route.cache, key, time.Now().UnixNano())
}

func getFresh(store Store, key string, now int64) (tiered.Item[*Response], bool) {
	if item, ok := store.Peek(key); !ok || int64(item.FreshUntil) <= now {
		return item, false
	}
	return store.Get(key)
}

// demandsMore reports whether the request wants a fresher answer than a fresh
// one that is stored (RFC 9111, 5.2.1).
func demandsMore(cc directives, item tiered.Item[*Response], now int64) bool {
	switch {
	case cc.noCache:
		return true
	case cc.maxAge != absent && item.Value.age(now) > cc.maxAge.duration():
		return true
	}
	return cc.minFresh.valid() && time.Duration(int64(item.FreshUntil)-now) < cc.minFresh.duration()
}

func (x *exchange) onlyIfCached(cc directives) bool {
	if !cc.onlyIfCached {
		return false
	}
	x.refuse(http.StatusGatewayTimeout, "only-if-cached", "nothing that may be used is stored")
	return true
}

// hit answers from a fresh entry.
func (x *exchange) hit(item tiered.Item[*Response], now int64) {
	x.outcome = Hit
	x.status.hit = true
	x.status.ttl, x.status.hasTTL = max(time.Duration(int64(item.FreshUntil)-now), 0), true
	x.send(item.Value, now)
}

// forward says why a miss is one.
func (x *exchange) forward(key string, m *Response) {
	item, ok := x.route.cache.Peek(key)
	switch {
	case ok && item.Value.marker == nil:
		x.status.fwd = fwdStale
	case m != nil:
		x.status.fwd = fwdVaryMiss
	default:
		x.status.fwd = fwdURIMiss
	}
}

// shared loads an answer together with all others who want it.
func (x *exchange) shared(key string, m *Response) {
	x.forward(key, m)
	again := true // a load that was rejected at another's priority is tried once at ours
	for {
		d := newDelivery(x.w, x.r)
		item, err := x.route.cache.Fetch(x.r.Context(), key, x.p.loader(x.request(), m, d))
		l := d.take()
		switch {
		case err != nil:
			if l != nil && l.stream != nil {
				l.stream.close()
			}
			var rejected *scheduler.RejectedError
			if again && errors.As(err, &rejected) && moreImportant(x.request().priority, rejected.Priority) {
				again = false
				continue
			}
			x.fail(err)
		case l != nil:
			x.loaded(l, item)
		case item.Value == nil || !item.Value.usable(x.authorization, x.cookie):
			x.alone(key, m, directives{})
		case item.Value.marker != nil && m == nil:
			// The answers vary: select among the variants that came of the load.
			m = item.Value
			key = m.marker.key(x.key, x.selecting(m.marker.names))
			variant, ok := x.get(key)
			if !ok {
				x.status.fwd = fwdVaryMiss
				continue
			}
			variant.Source = tiered.SourceCoalesced
			x.joined(variant)
		case item.Value.marker != nil:
			x.alone(key, m, directives{})
		default:
			x.joined(item)
		}
		return
	}
}

// joined answers with what the cache or the load of another request gave.
func (x *exchange) joined(item tiered.Item[*Response]) {
	now := time.Now().UnixNano()
	if !item.Value.usable(x.authorization, x.cookie) {
		x.alone(x.key, nil, directives{})
		return
	}
	if item.Source == tiered.SourceL1 || item.Source == tiered.SourceL2 {
		x.status.fwd = ""
		x.hit(item, now)
		return
	}
	x.outcome = Miss
	x.status.collapsed = true
	x.status.ttl, x.status.hasTTL = max(time.Duration(int64(item.FreshUntil)-now), 0), true
	x.send(item.Value, now)
}

// alone asks the origin for this request only. What comes back is stored if it
// may be, but shared with nobody who waits.
func (x *exchange) alone(key string, m *Response, cc directives) {
	req := x.request()
	req.noStore = cc.noStore
	var old *Response
	if item, ok := x.route.cache.Peek(key); ok {
		old = item.Value
	}
	d := newDelivery(x.w, x.r)
	what, err := x.p.load(x.r.Context(), req, key, m, old, d)
	l := d.take()
	switch {
	case err != nil:
		x.fail(err)
		return
	case l == nil:
		x.fail(errors.New("a load without an answer"))
		return
	}
	var item tiered.Item[*Response]
	if !what.NoStore {
		var ok bool
		if item, ok = x.p.changes.putUnchanged(x.r.Context(), x.route.cache, x.key, key, req.since, what); !ok {
			l.stored = false
		}
	}
	x.loaded(l, item)
}

// loaded answers with what this request's own load found.
func (x *exchange) loaded(l *loaded, item tiered.Item[*Response]) {
	x.outcome = Miss
	x.status.stored, x.status.detail = l.stored, l.reason
	if l.stream != nil {
		x.sendStream(l)
		return
	}
	if l.revalidated {
		x.outcome = Revalidated
	}
	if l.originStatus != l.response.status {
		x.status.fwdStatus = l.originStatus
	}
	now := time.Now().UnixNano()
	if l.stored {
		freshUntil := item.FreshUntil
		if l.freshUntil != 0 {
			freshUntil = l.freshUntil
		}
		x.status.ttl, x.status.hasTTL = max(time.Duration(int64(freshUntil)-now), 0), true
	}
	x.send(l.response, now)
}
