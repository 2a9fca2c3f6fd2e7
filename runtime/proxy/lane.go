package proxy

import (
	"bytes"
	"hash/maphash"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	// laneKeys bounds the index of the lane: a direct-mapped table.
	laneKeys = 1 << 14
	// copied is up to where a content is copied behind its head to be written
	// at once; larger ones are written from where they lie.
	copied = 16 << 10
)

// laneIndex leads from what a request says to the key that the handler made of
// it, so that the lane makes none. It is filled by the handler's hits. Entries
// never go wrong: a key is a pure function of what they are compared by. Safe
// for concurrent use.
type laneIndex struct {
	seed  maphash.Seed
	slots [laneKeys]atomic.Pointer[laneKey]
}

type laneKey struct {
	host, target, encoding string // as sent; encoding: of Accept-Encoding
	key                    string
	route                  *route
	// variant is the key of the variant that encoding selects under the marker
	// of this generation; both empty if the answers do not vary.
	generation, variant string
}

func newLaneIndex() *laneIndex { return &laneIndex{seed: maphash.MakeSeed()} }

func (x *laneIndex) slot(host, target, encoding []byte) *atomic.Pointer[laneKey] {
	h := maphash.Bytes(x.seed, target)
	h = h*31 + maphash.Bytes(x.seed, host)
	h = h*31 + maphash.Bytes(x.seed, encoding)
	return &x.slots[h%laneKeys]
}

func (x *laneIndex) find(host, target, encoding []byte) *laneKey {
	k := x.slot(host, target, encoding).Load()
	if k == nil || k.target != string(target) || k.host != string(host) || k.encoding != string(encoding) {
		return nil
	}
	return k
}

// teach lets the lane answer the next request like this one, which the handler
// has answered from a fresh entry.
func (x *exchange) teach(key string, m *Response) {
	encodings := x.r.Header["Accept-Encoding"]
	if x.r.Method != http.MethodGet || x.r.TLS != nil || x.client.trusted || len(encodings) > 1 || len(x.r.RequestURI) > laneBuffer ||
		x.r.RequestURI[0] != '/' ||
		len(x.r.Header["Connection"]) > 0 && !onlyKeepAlive(x.r.Header["Connection"]) {
		return
	}
	k := &laneKey{host: x.r.Host, target: x.r.RequestURI, encoding: first(x.r.Header, "Accept-Encoding"), key: x.key, route: x.route}
	if m != nil {
		if len(m.marker.names) != 1 || m.marker.names[0] != "Accept-Encoding" {
			return
		}
		k.generation, k.variant = m.marker.generation, key
	}
	slot := x.rules.lane.slot([]byte(k.host), []byte(k.target), []byte(k.encoding))
	if old := slot.Load(); old == nil || *old != *k {
		slot.Store(k)
	}
}

// laneRequest is what the lane has read of a head.
type laneRequest struct {
	host, target, encoding []byte
	cookie, last           bool
	length                 int // of the head
}

// readLane reads a head that is plain in every respect: GET, origin form,
// HTTP/1.1, one Host, strict syntax, no content, nothing conditional, partial
// or personal that the cache would have to think about. False: it is not, or
// not whole; net/http then gets the very bytes.
func readLane(b []byte) (r laneRequest, ok bool) {
	const method, version = "GET ", " HTTP/1.1\r\n"
	if !bytes.HasPrefix(b, []byte(method)) {
		return r, false
	}
	line := bytes.IndexByte(b, '\n')
	if line < len(method)+1+len(version)-1 || !bytes.HasSuffix(b[:line+1], []byte(version)) {
		return r, false
	}
	r.target = b[len(method) : line+1-len(version)]
	if r.target[0] != '/' {
		return r, false
	}
	for _, c := range r.target {
		if c <= ' ' || c >= 0x7f || c == '#' || c == '\\' {
			return r, false
		}
	}
	at := line + 1
	for range maxFields + 1 {
		end := bytes.IndexByte(b[at:], '\n')
		if end < 1 || b[at+end-1] != '\r' {
			return r, false
		}
		if end == 1 {
			r.length = at + 2
			return r, r.host != nil
		}
		if !r.field(b[at : at+end-1]) {
			return r, false
		}
		at += end + 1
	}
	return r, false
}

// field takes one line of a head.
func (r *laneRequest) field(line []byte) bool {
	colon := bytes.IndexByte(line, ':')
	if colon < 1 {
		return false
	}
	for _, c := range line[:colon] {
		if !tokenTable[c] {
			return false
		}
	}
	value := line[colon+1:]
	for _, c := range value {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	value = bytes.Trim(value, " \t")
	switch name := line[:colon]; len(name) {
	case len("Host"):
		if equalFold(name, "host") {
			if r.host != nil || len(value) == 0 {
				return false
			}
			r.host = value
		}
	case len("Range"):
		return !equalFold(name, "range")
	case len("Cookie"):
		if equalFold(name, "cookie") {
			r.cookie = true
			return true
		}
		return !equalFold(name, "expect") && !equalFold(name, "pragma")
	case len("Upgrade"):
		return !equalFold(name, "upgrade") && !equalFold(name, "trailer")
	case len("If-Range"):
		return !hasPrefixFold(name, "if-")
	case len("Connection"):
		if equalFold(name, "connection") {
			r.last = equalFold(value, "close")
			return r.last || equalFold(value, "keep-alive")
		}
		return !hasPrefixFold(name, "if-")
	case len("Authorization"):
		return !equalFold(name, "authorization") && !equalFold(name, "cache-control") && !hasPrefixFold(name, "if-")
	case len("Content-Length"):
		return !equalFold(name, "content-length") && !hasPrefixFold(name, "if-")
	case len("Accept-Encoding"):
		if equalFold(name, "accept-encoding") {
			if r.encoding != nil {
				return false
			}
			r.encoding = value
		}
		return !hasPrefixFold(name, "if-")
	case len("Transfer-Encoding"):
		return !equalFold(name, "transfer-encoding") && !hasPrefixFold(name, "if-")
	default:
		return !hasPrefixFold(name, "if-")
	}
	return true
}

// tokenTable says which bytes may stand in a field's name.
var tokenTable = func() (t [256]bool) {
	for c := range t {
		t[c] = isTokenByte(byte(c))
	}
	return t
}()

// equalFold compares with a word in lower case.
func equalFold(b []byte, word string) bool {
	return len(b) == len(word) && hasPrefixFold(b, word)
}

func hasPrefixFold(b []byte, word string) bool {
	if len(b) < len(word) {
		return false
	}
	for i := range len(word) {
		if lower(b[i]) != word[i] {
			return false
		}
	}
	return true
}

// answer answers the first request in b if it is plain and there is a fresh
// entry for it, and returns how long its head was. False: nothing was written.
func (c *conn) answer(b []byte) (int, bool) {
	began := time.Now()
	rules := c.server.proxy.rules.Load()
	if rules.showKey || len(rules.trusted) > 0 && trusts(rules.trusted, c.peer) {
		return 0, false
	}
	req, ok := readLane(b)
	if !ok {
		return 0, false
	}
	k := rules.lane.find(req.host, req.target, req.encoding)
	if k == nil {
		return 0, false
	}
	r, ttl, ok := k.fresh(began, req.cookie)
	if !ok {
		return 0, false
	}
	c.out.last = req.last || c.isClosing()
	c.renew(began)
	c.server.laneHits.Add(1)
	n, err := c.out.write(c.Conn, r, ttl, began)
	k.route.stats[Hit].add(began.UnixNano(), time.Since(began), int64(n))
	if err != nil {
		c.server.proxy.aborted.Add(1)
		c.out.last = true
	}
	return req.length, true
}

// fresh returns the entry that a request selects, if it may be used.
func (k *laneKey) fresh(began time.Time, cookie bool) (*Response, time.Duration, bool) {
	now := began.UnixNano()
	item, ok := getFresh(k.route.cache, k.key, now)
	if ok && item.Value.marker != nil {
		if item.Value.marker.generation != k.generation {
			return nil, 0, false
		}
		item, ok = getFresh(k.route.cache, k.variant, now)
	}
	if !ok || item.Value.marker != nil || !item.Value.usable(false, cookie) {
		return nil, 0, false
	}
	return item.Value, time.Duration(int64(item.FreshUntil) - now), true
}

// laneWriter writes stored answers to a connection.
type laneWriter struct {
	last    bool // the connection ends with this answer
	head    []byte
	buffers net.Buffers
	parts   [2][]byte
}

// write returns how much content was written.
func (w *laneWriter) write(nc net.Conn, r *Response, ttl time.Duration, now time.Time) (int, error) {
	b := appendStatusLine(w.head[:0], r.status)
	b = append(b, r.wire...)
	b = append(b, "Age: "...)
	b = strconv.AppendInt(b, int64(r.age(now.UnixNano())/time.Second), 10)
	b = append(b, "\r\nCache-Status: "+cacheName+"; hit; ttl="...)
	b = strconv.AppendInt(b, wholeSeconds(ttl), 10)
	if w.last {
		b = append(b, "\r\nConnection: close"...)
	}
	b = append(b, "\r\n\r\n"...)
	if len(r.body) <= copied {
		head := len(b)
		b = append(b, r.body...)
		w.keep(b)
		n, err := nc.Write(b)
		return max(n-head, 0), err
	}
	w.keep(b)
	w.parts = [2][]byte{b, r.body}
	w.buffers = w.parts[:]
	n, err := w.buffers.WriteTo(nc)
	w.parts = [2][]byte{}
	return max(int(n)-len(b), 0), err
}

// keep keeps a buffer for the next answer unless it is unusually large.
func (w *laneWriter) keep(b []byte) {
	if cap(b) <= 4<<10 {
		w.head = b
	}
}

func appendStatusLine(b []byte, status int) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	if text := http.StatusText(status); text != "" {
		b = append(b, text...)
	} else {
		b = append(b, "status code "...)
		b = strconv.AppendInt(b, int64(status), 10)
	}
	return append(b, "\r\n"...)
}
