package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/perfopt/perfopt/cache/tiered"
	"github.com/perfopt/perfopt/scheduler"
)

// streamBuffer is how much of a stream is passed on at a time.
const streamBuffer = 32 << 10

// send answers with a stored or storable answer, or with 304 if the client has
// it already.
func (x *exchange) send(r *Response, now int64) {
	h := x.w.Header()
	unchanged := r.status == http.StatusOK && unmodified(x.r.Header, r.etag, r.lastModified)
	for _, f := range r.fields {
		if !unchanged || notModifiedFields[f.name] {
			h[f.name] = f.values
		}
	}
	if age := r.age(now); x.status.hit || age >= time.Second {
		h["Age"] = []string{strconv.FormatInt(int64(age/time.Second), 10)}
	}
	h["Cache-Status"] = []string{x.status.String()}
	if unchanged {
		x.w.WriteHeader(http.StatusNotModified)
		return
	}
	noSniffing(h)
	x.w.WriteHeader(r.status)
	if x.r.Method == http.MethodHead || bodyless(r.status) {
		return
	}
	n, err := x.w.Write(r.body)
	x.sent += int64(n)
	if err != nil {
		x.p.aborted.Add(1)
	}
}

// noSniffing keeps net/http from adding a Content-Type that the origin did not
// send.
func noSniffing(h http.Header) {
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil
	}
}

// pass hands the request to the origin as it is and streams the answer.
func (x *exchange) pass(o Outcome) {
	x.outcome = o
	req := x.request()
	header := req.header
	upgrade := x.upgradeTo()
	if upgrade != "" {
		header = withUpgrade(header, upgrade)
	}
	body := newClientBody(x.r)
	if body != nil && body.readAhead() != nil {
		x.refuse(http.StatusBadRequest, "request-content", "the content of the request could not be read")
		return
	}
	d := newDelivery(x.w, x.r)
	a, err := x.p.ask(x.r.Context(), req, header, body, d.inform)
	d.take()
	if err != nil {
		x.p.countError(err)
		x.fail(err)
		return
	}
	if a.StatusCode >= http.StatusInternalServerError {
		x.p.originErrors.Add(1)
	}
	if !safe(x.r.Method) && a.StatusCode < http.StatusBadRequest {
		x.invalidate(a.Header)
	}
	if a.StatusCode == http.StatusSwitchingProtocols {
		x.switchProtocols(a, upgrade)
		return
	}
	x.sendStream(&loaded{status: a.StatusCode, header: a.Header, stream: a.stream(nil), originStatus: a.StatusCode})
}

// sendStream passes an answer on as it arrives. If it breaks off, so does the
// connection to the client: nothing else would tell it.
func (x *exchange) sendStream(l *loaded) {
	s := l.stream
	s.tie(x.r.Context())
	defer s.close()
	h := x.w.Header()
	fields := endToEnd(l.header)
	if x.r.Method == http.MethodGet && l.status == http.StatusOK &&
		unmodified(x.r.Header, parseETag(first(fields, "Etag")), timeOf(first(fields, "Last-Modified"))) {
		for name := range fields {
			if !notModifiedFields[name] {
				delete(fields, name)
			}
		}
		l.status = http.StatusNotModified
		x.status.fwdStatus = l.originStatus
	}
	for name, values := range fields {
		h[name] = values
	}
	h["Cache-Status"] = append(fields["Cache-Status"][:len(fields["Cache-Status"]):len(fields["Cache-Status"])], x.status.String())
	noSniffing(h)
	x.w.WriteHeader(l.status)
	if x.r.Method == http.MethodHead || bodyless(l.status) {
		return
	}
	if err := x.copyStream(s, flushed(l)); err != nil {
		x.p.aborted.Add(1)
		x.p.logger.Debug("an answer was not sent whole", "path", x.path, "error", err)
		panic(http.ErrAbortHandler)
	}
	for name, values := range s.a.Trailer {
		if isToken(name) && !hopByHop[name] {
			h[http.TrailerPrefix+name] = values
		}
	}
}

// flushed reports whether each part of an answer is sent at once: where its
// length is unknown somebody may be waiting for the next event.
func flushed(l *loaded) bool {
	return l.stream.a.ContentLength < 0 || strings.HasPrefix(first(l.header, "Content-Type"), "text/event-stream")
}

func (x *exchange) copyStream(s *stream, flush bool) error {
	buf, ok := x.p.buffers.Get().(*[]byte)
	if !ok {
		b := make([]byte, streamBuffer)
		buf = &b
	}
	defer x.p.buffers.Put(buf)
	control := http.NewResponseController(x.w)
	var timeout time.Duration
	if server, ok := x.r.Context().Value(http.ServerContextKey).(*http.Server); ok {
		timeout = server.WriteTimeout
	}
	if flush {
		if err := control.Flush(); err != nil {
			return err
		}
	}
	for {
		n, err := s.Read(*buf)
		if n > 0 {
			if timeout > 0 {
				// A stream may last; each part of it has its time.
				_ = control.SetWriteDeadline(time.Now().Add(timeout))
			}
			written, err := x.w.Write((*buf)[:n])
			x.sent += int64(written)
			if err != nil {
				return err
			}
			if flush {
				if err := control.Flush(); err != nil {
					return err
				}
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func timeOf(s string) time.Time {
	t, err := http.ParseTime(s)
	if err != nil {
		return time.Time{}
	}
	return t
}

// fail answers that there is no answer.
func (x *exchange) fail(err error) {
	var rejected *scheduler.RejectedError
	var origin *originError
	x.outcome = Failed
	switch {
	case errors.As(err, &rejected):
		x.outcome = Rejected
		seconds := max(wholeSeconds(rejected.RetryAfter), 1)
		x.w.Header()["Retry-After"] = []string{strconv.FormatInt(seconds, 10)}
		x.refuse(http.StatusServiceUnavailable, rejected.Reason.String(), "too much work is waiting for the origin; try again later")
	case x.r.Context().Err() != nil:
		// Nobody is there to read it.
		x.p.aborted.Add(1)
		panic(http.ErrAbortHandler)
	case errors.As(err, &origin):
		x.p.logger.Debug("no answer of the origin", "path", x.path, "error", err)
		x.refuse(origin.status, origin.detail, explanation(origin))
	case errors.Is(err, tiered.ErrLoadTimeout), errors.Is(err, context.DeadlineExceeded):
		x.refuse(http.StatusGatewayTimeout, "origin-timeout", "the origin did not answer in time")
	default:
		x.p.logger.Debug("no answer of the origin", "path", x.path, "error", err)
		x.refuse(http.StatusBadGateway, "origin-unreachable", "the origin cannot be reached")
	}
}

func explanation(e *originError) string {
	switch e.detail {
	case "origin-timeout":
		return "the origin did not answer in time"
	case "origin-truncated":
		return "the origin did not send its whole answer"
	case "request-content":
		return "the content of the request could not be read"
	}
	return "the origin cannot be reached or sends no valid answer"
}

// refuse answers with an error of the proxy's own.
func (x *exchange) refuse(status int, detail, text string) {
	x.status.detail = detail
	h := x.w.Header()
	h["Cache-Status"] = []string{x.status.String()}
	h["Cache-Control"] = []string{"no-store"}
	h["Content-Type"] = []string{"text/plain; charset=utf-8"}
	if status == http.StatusBadRequest || status == http.StatusRequestHeaderFieldsTooLarge {
		h["Connection"] = []string{"close"}
	}
	body := strconv.Itoa(status) + " " + http.StatusText(status) + ": " + text + "\n"
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	x.w.WriteHeader(status)
	if x.r.Method != http.MethodHead {
		n, _ := io.WriteString(x.w, body)
		x.sent += int64(n)
	}
}
