package proxy

import (
	"context"
	"errors"
	"net/http"
	"net/textproto"
	"slices"
	"sync"
	"time"

	"github.com/perfopt/perfopt/cache/tiered"
	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/scheduler"
)

// loaded is what a load tells the request that began it, besides what it gives
// the cache.
type loaded struct {
	response *Response // a whole answer; nil: stream
	status   int       // of the streamed answer
	header   http.Header
	stream   *stream

	originStatus int
	stored       bool
	revalidated  bool
	freshUntil   policies.Nanos // of a variant that was stored beside its marker
	reason       string         // why it was not stored
}

// delivery hands what a load finds to the request that began it. The load may
// outlive the request, because others wait for it too; then nobody takes what
// cannot be shared.
type delivery struct {
	w        http.ResponseWriter
	accepts1 bool // the client understands 1xx answers

	mu   sync.Mutex // guards the fields below, and w until left
	left bool       // the request waits no longer
	what *loaded
}

func newDelivery(w http.ResponseWriter, r *http.Request) *delivery {
	return &delivery{w: w, accepts1: r.ProtoAtLeast(1, 1)}
}

// offer gives the request what was found. False: nobody takes it.
func (d *delivery) offer(l *loaded) bool {
	if d == nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left {
		return false
	}
	d.what = l
	return true
}

// take ends the wait and returns what was found, nil if the load of another
// request gave the answer.
func (d *delivery) take() *loaded {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left = true
	return d.what
}

// inform passes a 1xx answer on while the request waits.
func (d *delivery) inform(code int, h textproto.MIMEHeader) {
	if d == nil || !d.accepts1 || code == http.StatusContinue {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left {
		return
	}
	fields := storedFields(http.Header(h))
	out := d.w.Header()
	for name, values := range fields {
		out[name] = values
	}
	d.w.WriteHeader(code)
	for name := range fields {
		delete(out, name)
	}
}

// loader returns the loader of a key for one request. m is the marker under
// which the key is a variant, or nil.
func (p *Proxy) loader(req *originRequest, m *Response, d *delivery) tiered.Loader[string, *Response] {
	return func(ctx context.Context, key string, prior tiered.Prior[*Response]) (tiered.Loaded[*Response], error) {
		var old *Response
		if prior.Exists {
			old = prior.Value
		}
		return p.load(ctx, req, key, m, old, d)
	}
}

// load asks the origin, conditionally if old can be validated, and decides
// whether the answer is stored.
func (p *Proxy) load(ctx context.Context, req *originRequest, key string, m, old *Response, d *delivery) (tiered.Loaded[*Response], error) {
	none := tiered.Loaded[*Response]{NoStore: true}
	if old != nil && (old.marker != nil || !old.validator() || !old.usableBy(req)) {
		old = nil
	}
	header := withoutConditions(req.header)
	if old != nil {
		old.addValidators(header)
	}
	a, err := p.ask(ctx, req, header, nil, d.inform)
	if err != nil {
		p.countError(err)
		return none, err
	}
	if a.StatusCode == http.StatusNotModified && old != nil {
		etag := parseETag(first(a.Header, "Etag"))
		if etag == "" || old.etag == "" || weakMatch(etag, old.etag) {
			return p.revalidated(ctx, a, req, key, m, old, d)
		}
		// It confirms another answer than ours (RFC 9111, 4.3.4).
		a.end(scheduler.Ignored)
		return p.load(ctx, req, key, m, nil, d)
	}
	if a.StatusCode >= 500 {
		p.originErrors.Add(1)
	}
	v := p.judgeAnswer(a, a.StatusCode, a.Header, req)
	if !v.store {
		return none, p.deliverStream(a, nil, v.reason, d)
	}
	content, more, err := a.readAll(p.rules.Load().maxBody)
	if err != nil {
		err = a.fail(ctx, nil, err)
		p.countError(err)
		return none, err
	}
	if more {
		return none, p.deliverStream(a, content, "too-large", d)
	}
	a.end(a.outcome())
	r := newResponse(a.StatusCode, a.Header, content)
	return p.place(ctx, a, r, v, req, key, m, d)
}

// judgeAnswer judges an answer by its own fields and by what only this proxy
// knows: how its store tells variants apart.
func (p *Proxy) judgeAnswer(a *answer, status int, h http.Header, req *originRequest) verdict {
	v := judge(status, h, circumstances{
		authorization: req.authorization, cookie: req.cookie, noStore: req.noStore, plain: req.plain,
		ttlDefault: req.route.ttlDefault, asked: a.asked, now: a.arrived,
	})
	if !v.store {
		return v
	}
	names := varyNames(h["Vary"])
	refuse := func(reason string) verdict { return verdict{reason: reason} }
	switch {
	case len(names) == 1 && names[0] == "*":
		return refuse("vary")
	case slices.Contains(names, "Accept-Encoding") && !suitsClass(encodingClass(req.header["Accept-Encoding"]), first(h, "Content-Encoding")):
		return refuse("encoding")
	case status == a.StatusCode && a.ContentLength < 0 && len(a.TransferEncoding) == 0 && !bodyless(status):
		// Its end is where the connection ended: whole and cut look alike.
		return refuse("length-unknown")
	}
	return v
}

// deliverStream hands an answer that is not stored to the request that began
// the load, as it arrives from the origin.
func (p *Proxy) deliverStream(a *answer, read []byte, reason string, d *delivery) error {
	s := a.stream(read)
	l := &loaded{status: a.StatusCode, header: a.Header, stream: s, originStatus: a.StatusCode, reason: reason}
	if !d.offer(l) {
		s.close()
	}
	return nil
}

// revalidated takes a 304 to a stored answer.
func (p *Proxy) revalidated(ctx context.Context, a *answer, req *originRequest, key string, m, old *Response, d *delivery) (tiered.Loaded[*Response], error) {
	a.end(scheduler.OK)
	r := old.refreshed(a.Header)
	h := r.Header()
	if age, ok := a.Header["Age"]; ok {
		h["Age"] = age
	}
	v := p.judgeAnswer(a, r.status, h, req)
	if !v.store {
		r.received, r.initialAge = a.arrived.UnixNano(), v.age
		d.offer(&loaded{response: r, originStatus: a.StatusCode, revalidated: true, reason: v.reason})
		return tiered.Loaded[*Response]{NoStore: true}, nil
	}
	l, err := p.place(ctx, a, r, v, req, key, m, d)
	// What it replaces under the same key is the same content.
	l.NotModified = err == nil && !l.NoStore && l.Value == r
	return l, err
}

// place says where an answer is stored: under its key, or, if it varies by
// more fields than the key tells apart, under a variant's key beside a marker.
func (p *Proxy) place(ctx context.Context, a *answer, r *Response, v verdict, req *originRequest, key string, m *Response, d *delivery) (tiered.Loaded[*Response], error) {
	r.received, r.initialAge, r.flags = a.arrived.UnixNano(), v.age, v.flags
	l := tiered.Loaded[*Response]{Value: r, Keep: v.keep, Cost: a.arrived.Sub(a.asked), Fresh: p.freshnessOf(v, req.route)}
	out := &loaded{response: r, originStatus: a.StatusCode, stored: true, revalidated: a.StatusCode == http.StatusNotModified}
	names := varyNames(r.values("Vary"))
	until := a.arrived.Add(v.base + v.keep)
	switch {
	case m == nil && len(names) == 0:
	case m != nil && m.marker.covers(names):
		if !m.marker.admit(key, a.arrived, until) {
			out.stored, out.reason = false, "variants"
			l = tiered.Loaded[*Response]{NoStore: true}
		}
	default:
		return p.placeVariant(ctx, l, out, names, until, req, m, d)
	}
	d.offer(out)
	if out.stored {
		p.repeatable.add(key, req, m)
	}
	return l, nil
}

// placeVariant stores an answer under a variant's key of a marker that it
// makes. What it returns is for the key that was loaded: the marker, if that
// is the resource's own key; nothing, if it is a variant's under a former
// marker that tells too little apart.
func (p *Proxy) placeVariant(ctx context.Context, l tiered.Loaded[*Response], out *loaded, names []string, until time.Time, req *originRequest, former *Response, d *delivery) (tiered.Loaded[*Response], error) {
	nothing := tiered.Loaded[*Response]{NoStore: true}
	store := req.route.cache
	if former != nil {
		names = append(slices.Clone(former.marker.names), names...)
		slices.Sort(names)
		names = slices.Compact(names)
		if item, ok := store.Peek(req.base); !ok || item.Value != former || len(names) > maxVaryNames {
			// Deleted or replaced meanwhile: this answer comes too late.
			out.stored, out.reason = false, "vary"
			d.offer(out)
			return nothing, nil
		}
	}
	marker := newMarker(names)
	variant := marker.marker.key(req.base, req.header)
	marker.marker.admit(variant, time.UnixMilli(0), until)
	// Nobody can reach the variant before its marker is in place, and the
	// marker comes into its place only if nothing was deleted meanwhile.
	item, err := store.Put(ctx, variant, l)
	out.stored, out.freshUntil = err == nil, item.FreshUntil
	d.offer(out)
	p.repeatable.add(variant, req, marker)
	atBase := tiered.Loaded[*Response]{Value: marker, Cost: l.Cost, Fresh: tiered.FreshnessInput{
		Base: markerLife, Origin: noTTL, Min: markerLife, Max: markerLife,
	}}
	if former == nil {
		return atBase, nil
	}
	p.changes.putUnchanged(ctx, store, req.base, req.base, req.since, atBase)
	return nothing, nil
}

// freshnessOf says what the TTL policy is asked about an answer.
func (p *Proxy) freshnessOf(v verdict, rt *route) tiered.FreshnessInput {
	if v.mustAsk {
		return tiered.FreshnessInput{Origin: 0}
	}
	f := tiered.FreshnessInput{Base: v.base, Origin: v.explicit, Min: rt.ttlMin, Max: rt.ttlMax}
	if v.explicit != noTTL {
		f.Min = min(f.Min, v.explicit)
		if f.Max == 0 || f.Max > v.explicit {
			f.Max = v.explicit
		}
	}
	return f
}

// usableBy reports whether a stored answer may be used for such a request.
func (r *Response) usableBy(req *originRequest) bool {
	return r.usable(req.authorization, req.cookie)
}

func (r *Response) usable(authorization, cookie bool) bool {
	if authorization && r.flags&flagShared == 0 {
		return false
	}
	return r.flags&flagImplicit == 0 || !authorization && !cookie
}

func (p *Proxy) countError(err error) {
	var e *originError
	if errors.As(err, &e) && e.status >= http.StatusInternalServerError {
		p.originErrors.Add(1)
	}
}
