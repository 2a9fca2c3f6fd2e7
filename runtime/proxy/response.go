package proxy

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
)

// Response is a stored answer: immutable, and serialised once, so that a hit
// builds no fields. Instead of an answer it may be a *marker*, which says by
// which fields the answers to a key vary and is stored under the key itself,
// while the answers are stored under keys of their own beside it. Safe for
// concurrent use.
type Response struct {
	status int
	// wire has the end-to-end fields as they are written, each line ended.
	// It has Date and Content-Length, and neither Age, Cache-Status nor
	// anything of a connection.
	wire   string
	fields []field // the same, as parts of wire
	body   []byte

	received   int64         // wall clock, nanoseconds since the Unix epoch
	initialAge time.Duration // age when it was received
	flags      responseFlags

	etag         string
	lastModified time.Time // zero: none
	marker       *marker   // not nil: a marker, and nothing else counts
}

// field is one field of a stored answer; values has one element per line.
type field struct {
	name   string
	values []string
}

type responseFlags uint8

const (
	// flagShared: may answer a request with Authorization (RFC 9111, 3.5).
	flagShared responseFlags = 1 << iota
	// flagImplicit: stored without explicit freshness, so not for a request
	// that carries Cookie or Authorization.
	flagImplicit

	knownFlags = flagShared | flagImplicit
)

// responseOverhead is about what an entry takes besides its bytes.
const responseOverhead = 512

// Weigh returns the weight in bytes of a stored answer with its key; the
// weigher of a cache of responses.
func Weigh(key string, r *Response) uint32 {
	n := len(key) + responseOverhead
	if r != nil {
		n += len(r.wire) + len(r.body) + len(r.fields)*64
		if r.marker != nil {
			n += maxVariants * 24
		}
	}
	return uint32(min(n, 1<<32-1))
}

// Identity returns a hash of what an answer says, whenever it was received: its
// status, validator, type and content.
func Identity(r *Response) uint64 {
	if r == nil || r.marker != nil {
		return 0
	}
	h := xxhash.New()
	_, _ = h.WriteString(strconv.Itoa(r.status) + "\x00" + r.etag + "\x00" + r.get("Content-Type") + "\x00") // a hash never fails
	_, _ = h.Write(r.body)
	return h.Sum64()
}

// Status returns the status code.
func (r *Response) Status() int { return r.status }

// Body returns the content, which must not be changed.
func (r *Response) Body() []byte { return r.body }

// Header returns a copy of the fields.
func (r *Response) Header() http.Header {
	h := make(http.Header, len(r.fields))
	for _, f := range r.fields {
		h[f.name] = slices.Clone(f.values)
	}
	return h
}

// values returns the lines of a field, by canonical name.
func (r *Response) values(name string) []string {
	for _, f := range r.fields {
		if f.name == name {
			return f.values
		}
	}
	return nil
}

// get returns the first value of a field, by canonical name.
func (r *Response) get(name string) string {
	if values := r.values(name); len(values) > 0 {
		return values[0]
	}
	return ""
}

// age returns the age at a moment of the wall clock (RFC 9111, 4.2.3).
func (r *Response) age(now int64) time.Duration {
	return r.initialAge + time.Duration(max(now-r.received, 0))
}

// validator reports whether the origin can be asked whether r is still good.
func (r *Response) validator() bool { return r.etag != "" || !r.lastModified.IsZero() }

// bodyless reports whether answers with that status have no content.
func bodyless(status int) bool {
	return status == http.StatusNoContent || status == http.StatusNotModified || status < 200
}

// newResponse builds a stored answer. Of header it takes what is end to end.
func newResponse(status int, header http.Header, body []byte) *Response {
	h := storedFields(header)
	if bodyless(status) {
		delete(h, "Content-Length")
	} else {
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		for _, value := range h[name] {
			b.WriteString(name + ": " + value + "\r\n")
		}
	}
	r := &Response{status: status, wire: b.String(), body: body}
	if !r.index() {
		// Fields that net/http has accepted can always be read again.
		panic("proxy: a header block of our own cannot be read")
	}
	return r
}

// storedFields returns the fields of an origin's answer that are stored and
// passed on.
func storedFields(header http.Header) http.Header {
	h := endToEnd(header)
	for name, values := range h {
		if !isToken(name) {
			delete(h, name)
			continue
		}
		for i, v := range values {
			if strings.ContainsAny(v, "\r\n\x00") || v != strings.Trim(v, " \t") {
				values = slices.Clone(values)
				values[i] = strings.Trim(strings.NewReplacer("\r", " ", "\n", " ", "\x00", " ").Replace(v), " \t")
				h[name] = values
			}
		}
	}
	delete(h, "Age")
	delete(h, "Cache-Status")
	return h
}

const (
	maxStoredFields     = 512     // lines of a stored header
	maxStoredFieldBytes = 1 << 17 // its size
)

// index reads wire into fields and reports whether it is a well-formed block.
func (r *Response) index() bool {
	if len(r.wire) > maxStoredFieldBytes {
		return false
	}
	lines := strings.Count(r.wire, "\r\n")
	if lines > maxStoredFields {
		return false
	}
	values := make([]string, 0, lines)
	r.fields = make([]field, 0, lines)
	for rest := r.wire; rest != ""; {
		var line string
		var ok bool
		if line, rest, ok = strings.Cut(rest, "\r\n"); !ok {
			return false
		}
		name, value, ok := strings.Cut(line, ": ")
		if !ok || !isToken(name) || http.CanonicalHeaderKey(name) != name || hopByHop[name] || !isFieldValue(value) {
			return false
		}
		values = append(values, value)
		if n := len(r.fields); n > 0 && r.fields[n-1].name == name {
			last := &r.fields[n-1]
			start := len(values) - 1 - len(last.values)
			last.values = values[start:len(values):len(values)]
			continue
		}
		r.fields = append(r.fields, field{name, values[len(values)-1 : len(values) : len(values)]})
	}
	r.etag = parseETag(r.get("Etag"))
	if t, err := http.ParseTime(r.get("Last-Modified")); err == nil {
		r.lastModified = t
	}
	return true
}

// isFieldValue reports whether a value has no control bytes but tabs.
func isFieldValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// refreshed returns r with the fields of a 304 answer (RFC 9111, 3.2): all but
// those that describe the stored content.
func (r *Response) refreshed(notModified http.Header) *Response {
	h := r.Header()
	for name, values := range storedFields(notModified) {
		switch name {
		case "Content-Length", "Content-Encoding", "Content-Type", "Content-Range":
			continue
		}
		h[name] = values
	}
	return newResponse(r.status, h, r.body)
}
