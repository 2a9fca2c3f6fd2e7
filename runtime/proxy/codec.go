package proxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"net/http"
	"time"
)

// codecVersion is the first byte of an encoded response.
const codecVersion = 1

// errEncoding is all that is said about bytes that are no response: who wrote
// them is not known.
var errEncoding = errors.New("not an encoded response")

// Codec turns responses into bytes for the second tier and back. The format,
// little-endian: version u8, flags u8, status u16, received i64 (Unix
// nanoseconds), initial age i64 (nanoseconds), then as u32 length and bytes:
// the header block and the content. A marker has status 0, its generation in
// place of the header block and its names, separated by commas, in place of
// the content. Safe for concurrent use.
type Codec struct {
	// MaxBody is the largest content that is decoded; 0: [DefaultMaxBody].
	MaxBody int64
}

const codecHead = 1 + 1 + 2 + 8 + 8

// Encode appends the encoding of r to dst.
func (c Codec) Encode(dst []byte, r *Response) ([]byte, error) {
	if r == nil {
		return nil, errEncoding
	}
	dst = append(dst, codecVersion, byte(r.flags))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(r.status))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(r.received))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(r.initialAge))
	if m := r.marker; m != nil {
		dst = appendSized(dst, []byte(m.generation))
		return appendSized(dst, []byte(m.list())), nil
	}
	dst = appendSized(dst, []byte(r.wire))
	return appendSized(dst, r.body), nil
}

func appendSized(dst, b []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(b)))
	return append(dst, b...)
}

// Decode reads what Encode wrote. It keeps nothing of b. Whatever it returns
// without an error can be served: field names and values are checked again.
func (c Codec) Decode(b []byte) (*Response, error) {
	if len(b) < codecHead || b[0] != codecVersion || responseFlags(b[1])&^knownFlags != 0 {
		return nil, errEncoding
	}
	r := &Response{
		flags:      responseFlags(b[1]),
		status:     int(binary.LittleEndian.Uint16(b[2:])),
		received:   int64(binary.LittleEndian.Uint64(b[4:])),
		initialAge: time.Duration(binary.LittleEndian.Uint64(b[12:])),
	}
	head, rest, ok := cutSized(b[codecHead:])
	if !ok {
		return nil, errEncoding
	}
	content, rest, ok := cutSized(rest)
	if !ok || len(rest) != 0 || r.received < 0 || r.initialAge < 0 || r.initialAge > math.MaxInt32*time.Second {
		return nil, errEncoding
	}
	if r.status == 0 {
		m := decodeMarker(string(head), string(content))
		if m == nil || r.flags != 0 || r.initialAge != 0 {
			return nil, errEncoding
		}
		return &Response{received: r.received, marker: m}, nil
	}
	maxBody := c.MaxBody
	if maxBody == 0 {
		maxBody = DefaultMaxBody
	}
	if r.status < 200 || r.status > 999 || r.status == http.StatusPartialContent || int64(len(content)) > maxBody ||
		bodyless(r.status) && len(content) > 0 {
		return nil, errEncoding
	}
	r.wire, r.body = string(head), bytes.Clone(content)
	if !r.index() || !r.consistent() {
		return nil, errEncoding
	}
	return r, nil
}

// consistent reports whether a decoded response frames its own content and has
// nothing that is never stored.
func (r *Response) consistent() bool {
	length := false
	for i, f := range r.fields {
		if i > 0 && f.name <= r.fields[i-1].name {
			return false // each name once, in order: as newResponse writes them
		}
		switch f.name {
		case "Age", "Cache-Status", "Set-Cookie":
			return false
		case "Content-Length":
			length = len(f.values) == 1 && parseSeconds(f.values[0]) == seconds(len(r.body))
			if !length {
				return false
			}
		}
	}
	return length != bodyless(r.status)
}

func cutSized(b []byte) (part, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := binary.LittleEndian.Uint32(b)
	b = b[4:]
	if uint64(n) > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}
