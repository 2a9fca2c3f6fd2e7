package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/perfopt/perfopt/scheduler"
)

// originRequest is a request to the origin, made from one of a client or
// remembered from one. It is not changed once made, and outlives the request
// that it came from where others wait for its answer too.
type originRequest struct {
	method   string
	url      *url.URL
	host     string
	header   http.Header // end to end; ours included
	base     string      // the key of what it asks for
	route    *route
	priority scheduler.Priority

	authorization, cookie, noStore, plain bool
	prefetch                              bool
	since                                 uint64 // of changes, when it was made
}

// originError is why there is no answer of the origin.
type originError struct {
	status int    // what the client is told
	detail string // a token for Cache-Status
	err    error
}

func (e *originError) Error() string { return fmt.Sprintf("origin: %s: %v", e.detail, e.err) }
func (e *originError) Unwrap() error { return e.err }

var errOriginTimeout = errors.New("no answer in time")

// informed is told of 1xx answers before the final one.
type informed func(code int, h textproto.MIMEHeader)

// answer is an answer of the origin whose content has not been read. It must be
// closed.
type answer struct {
	*http.Response
	asked, arrived time.Time

	cancel  context.CancelCauseFunc
	detach  func() bool // unties the request from the context that it was made with
	timer   *time.Timer
	timeout time.Duration
	permit  scheduler.Permit
	ctx     context.Context
}

// ask sends a request as a task of the scheduler and returns the answer's head.
// The permit is held until release: where the content is read into memory,
// until that is done; where it is streamed, until the head has arrived, since
// how long the rest takes is up to the client. Errors: [*scheduler.RejectedError]
// and [*originError].
func (p *Proxy) ask(ctx context.Context, req *originRequest, header http.Header, body *clientBody, told informed) (*answer, error) {
	permit, err := p.admit(ctx, req)
	if err != nil {
		return nil, err
	}
	reqCtx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	a := &answer{
		cancel: cancel, timeout: req.route.timeout, permit: permit, ctx: reqCtx,
		detach: context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) }),
	}
	a.timer = time.AfterFunc(a.timeout, func() { cancel(errOriginTimeout) })
	out := &http.Request{
		Method: req.method, URL: req.url, Host: req.host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	trace := &httptrace.ClientTrace{}
	if body != nil {
		out.Body, out.ContentLength = body, body.length
		// What the client needs to send its content is not the origin's time.
		a.timer.Stop()
		trace.WroteRequest = func(httptrace.WroteRequestInfo) { a.timer.Reset(a.timeout) }
	}
	if told != nil {
		trace.Got1xxResponse = func(code int, h textproto.MIMEHeader) error {
			told(code, h)
			return nil
		}
	}
	p.originRequests.Add(1)
	if req.prefetch {
		p.prefetches.Add(1)
	}
	a.asked = time.Now()
	a.Response, err = p.transport.RoundTrip(out.WithContext(httptrace.WithClientTrace(reqCtx, trace)))
	a.arrived = time.Now()
	if err != nil {
		return nil, a.fail(ctx, body, err)
	}
	asked := first(header, "Upgrade")
	if a.StatusCode == http.StatusSwitchingProtocols && (asked == "" || !strings.EqualFold(first(a.Header, "Upgrade"), asked)) {
		a.end(scheduler.Failed)
		return nil, &originError{http.StatusBadGateway, "protocol", errors.New("101 to a protocol that was not asked for")}
	}
	return a, nil
}

// admit waits for a permit, no longer than for the origin's answer.
func (p *Proxy) admit(ctx context.Context, req *originRequest) (scheduler.Permit, error) {
	if p.limiter == nil {
		return scheduler.Permit{}, nil
	}
	wait, cancel := context.WithTimeout(ctx, req.route.timeout)
	defer cancel()
	return p.limiter.Acquire(wait, req.priority)
}

// fail ends the request and says why there is no whole answer.
func (a *answer) fail(ctx context.Context, body *clientBody, err error) error {
	cause := context.Cause(a.ctx)
	e := &originError{status: http.StatusBadGateway, detail: "origin-unreachable", err: err}
	var netErr net.Error
	switch {
	case body != nil && body.broken.Load():
		// The content could not be read from the client.
		e.status, e.detail = http.StatusBadRequest, "request-content"
		a.end(scheduler.Ignored)
		return e
	case errors.Is(cause, errOriginTimeout) || errors.As(err, &netErr) && netErr.Timeout():
		e.status, e.detail, e.err = http.StatusGatewayTimeout, "origin-timeout", errOriginTimeout
	case ctx.Err() != nil:
		a.end(scheduler.Ignored)
		return context.Cause(ctx)
	case a.Response != nil:
		e.detail = "origin-truncated"
	}
	a.end(scheduler.Failed)
	return e
}

// outcome tells the scheduler how the origin did.
func (a *answer) outcome() scheduler.Outcome {
	if a.StatusCode >= 500 {
		return scheduler.Failed
	}
	return scheduler.OK
}

// end releases the permit and whatever the request holds.
func (a *answer) end(o scheduler.Outcome) {
	a.permit.Release(o)
	a.timer.Stop()
	a.detach()
	if a.Response != nil {
		a.Body.Close()
	}
	a.cancel(context.Canceled)
}

// readAll reads the content up to a bound. more is true where there is more;
// the rest can then be streamed. Memory grows as bytes arrive, not as they are
// announced.
func (a *answer) readAll(bound int64) (content []byte, more bool, err error) {
	const trusted = 64 << 10
	size := a.ContentLength
	if size < 0 || size > trusted {
		size = trusted / 2
	}
	content = make([]byte, 0, size+1)
	for {
		n, err := a.Body.Read(content[len(content):min(int64(cap(content)), bound+1)])
		content = content[:len(content)+n]
		switch {
		case int64(len(content)) > bound:
			return content, true, nil
		case err == io.EOF:
			if cap(content)-len(content) > len(content)/4+64 {
				content = append(make([]byte, 0, len(content)), content...)
			}
			return content, false, nil
		case err != nil:
			return nil, false, err
		case len(content) == cap(content):
			content = append(content, 0)[:len(content)]
		}
	}
}

// stream turns the rest of the answer into one that only the client's context
// and its own progress bound, and gives the permit back.
func (a *answer) stream(read []byte) *stream {
	a.permit.Release(a.outcome())
	a.detach()
	a.timer.Reset(a.timeout)
	return &stream{a: a, read: read}
}

// stream is content that is passed on as it arrives.
type stream struct {
	a    *answer
	read []byte // what has been read from the origin already
}

// Read reads what the origin sends. The origin may be silent for as long as it
// may need for a head.
func (s *stream) Read(b []byte) (int, error) {
	if len(s.read) > 0 {
		n := copy(b, s.read)
		s.read = s.read[n:]
		return n, nil
	}
	s.a.timer.Reset(s.a.timeout)
	return s.a.Body.Read(b)
}

// tie ends the stream when the client's context ends.
func (s *stream) tie(ctx context.Context) {
	s.a.detach = context.AfterFunc(ctx, func() { s.a.cancel(context.Cause(ctx)) })
}

func (s *stream) close() { s.a.end(scheduler.Ignored) }

// withoutConditions returns a request's fields without those that make it
// conditional: what is shared or stored must be a whole answer.
func withoutConditions(h http.Header) http.Header {
	out := maps.Clone(h)
	delete(out, "If-None-Match")
	delete(out, "If-Modified-Since")
	return out
}

// maxAhead is how much of a request's content is read before a permit is
// asked for, so that slow clients with little to say hold none.
const maxAhead = 64 << 10

// clientBody is the content of a client's request on its way to the origin.
type clientBody struct {
	io.ReadCloser
	length int64
	ahead  []byte      // read and not yet sent on
	broken atomic.Bool // reading from the client failed; set where the transport reads
}

// newClientBody returns nil for a request without content.
func newClientBody(r *http.Request) *clientBody {
	if r.ContentLength == 0 {
		return nil
	}
	return &clientBody{ReadCloser: r.Body, length: r.ContentLength}
}

// readAhead reads the content's first part, or all of it.
func (b *clientBody) readAhead() (err error) {
	b.ahead, err = io.ReadAll(io.LimitReader(b.ReadCloser, maxAhead))
	return err
}

// Read reads from the client.
func (b *clientBody) Read(p []byte) (int, error) {
	if len(b.ahead) > 0 {
		n := copy(p, b.ahead)
		b.ahead = b.ahead[n:]
		return n, nil
	}
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		b.broken.Store(true)
	}
	return n, err
}
