package proxy

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

// smuggling has requests that two servers could read differently, and some
// that look odd and are not. bad: the scanner must stop.
var smuggling = []struct {
	name, bytes string
	bad         bool
}{
	{"plain", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", false},
	{"HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", false},
	{"content", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n\r\n\x00\r\n", false},
	{"chunks", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n5;a=b\r\n\n\x00\r\nx\r\n0\r\nT: v\r\n\r\n", false},
	{"pipelined", "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n", false},
	{"tab around a value", "GET / HTTP/1.1\r\nHost:\ta\t\r\n\r\n", false},
	{"empty value", "GET / HTTP/1.1\r\nHost: a\r\nX:\r\n\r\n", false},
	{"Content-Length and Transfer-Encoding", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", true},
	{"Transfer-Encoding and Content-Length", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n", true},
	{"Transfer-Encoding in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", true},
	{"two Content-Length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", true},
	{"equal Content-Length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", true},
	{"list of lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc", true},
	{"signed length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", true},
	{"empty length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", true},
	{"hexadecimal length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc", true},
	{"huge length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999999999999\r\n\r\nabc", true},
	{"two Transfer-Encoding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", true},
	{"coding not chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", true},
	{"coding with a vertical tab", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n", true},
	{"space before the colon", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\nabc", true},
	{"space before a name", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", true},
	{"folded line", "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", true},
	{"folded with a tab", "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\tc\r\n\r\n", true},
	{"bare LF after a field", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", true},
	{"bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", true},
	{"bare LF at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n", true},
	{"bare CR in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: b\rContent-Length: 3\r\n\r\n", true},
	{"NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: b\x00\r\n\r\n", true},
	{"line without colon", "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", true},
	{"empty name", "GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", true},
	{"leading empty line", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", true},
	{"two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", true},
	{"tab in the request line", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", true},
	{"HTTP/0.9", "GET /\r\n\r\n", true},
	{"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", true},
	{"preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", true},
	{"trailing space", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", true},
	{"chunk size with LF", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\nx\r\n0\r\n\r\n", true},
	{"chunk extension with LF", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;\nx\r\n0\r\n\r\n", true},
	{"chunk without CRLF", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n", true},
	{"empty chunk size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\n0\r\n\r\n", true},
	{"huge chunk size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n", true},
	{"length in a trailer", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 3\r\n\r\n", true},
	{"folded trailer", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: a\r\n b\r\n\r\n", true},
	{"bad second request", "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", true},
}

func TestScannerStopsAtWhatIsAmbiguous(t *testing.T) {
	for _, c := range smuggling {
		for _, step := range []int{1, 2, 7, len(c.bytes)} { // however the bytes arrive
			var s scanner
			at, bad := 0, false
			for at < len(c.bytes) && !bad {
				part := c.bytes[at:min(at+step, len(c.bytes))]
				n := s.feed([]byte(part))
				at += n
				bad = n < len(part)
			}
			if bad != c.bad {
				t.Errorf("%s: in steps of %d: stopped at %d: %v, want %v", c.name, step, at, bad, c.bad)
			} else if !bad && !s.atStart() {
				t.Errorf("%s: in steps of %d: the request does not end", c.name, step)
			}
		}
	}
}

func TestPoisonIsNeverARequest(t *testing.T) {
	for _, c := range smuggling {
		if !c.bad {
			continue
		}
		var s scanner
		ok := s.feed([]byte(c.bytes))
		left := bufio.NewReader(strings.NewReader(c.bytes[:ok] + poison))
		for {
			req, err := http.ReadRequest(left)
			if err != nil {
				if err == io.EOF {
					t.Errorf("%s: net/http reads it to the end", c.name)
				}
				break
			}
			if _, err := io.Copy(io.Discard, req.Body); err != nil {
				break
			}
		}
	}
}

// FuzzScanner compares the scanner with net/http: of what the scanner accepts
// whole, net/http finds requests that begin and end at the same bytes.
func FuzzScanner(f *testing.F) {
	for _, c := range smuggling {
		f.Add([]byte(c.bytes))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var whole, bytewise scanner
		n := whole.feed(b)
		var starts []int
		m := len(b)
		for i := range b {
			if bytewise.feed(b[i:i+1]) == 0 {
				m = i
				break
			}
			if bytewise.atStart() {
				starts = append(starts, i+1)
			}
		}
		if n != m {
			t.Fatalf("at once it stops at %d, byte by byte at %d", n, m)
		}
		if len(starts) == 0 {
			return
		}
		end := starts[len(starts)-1]
		reader := bytes.NewReader(b[:end])
		buffered := bufio.NewReader(reader)
		var boundaries []int
		for {
			req, err := http.ReadRequest(buffered)
			if err != nil {
				break // stricter than the scanner, or the end
			}
			if _, err := io.Copy(io.Discard, req.Body); err != nil {
				break
			}
			boundaries = append(boundaries, end-reader.Len()-buffered.Buffered())
		}
		for i, at := range boundaries {
			if i >= len(starts) || at != starts[i] {
				t.Fatalf("net/http ends its requests at %v, the scanner at %v", boundaries, starts)
			}
		}
	})
}
