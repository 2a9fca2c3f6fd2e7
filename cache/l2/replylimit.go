package l2

import (
	"errors"
	"net"
	"syscall"
)

// What a server may announce before the connection is dropped.
const (
	// maxReplyLine bounds a reply's line: errors and numbers are short.
	maxReplyLine = 64 << 10
	// maxReplyItems bounds arrays; the largest honest one lists the slots of
	// a cluster.
	maxReplyItems = 64 << 10
)

var errReplyTooLarge = errors.New("redis announced a reply beyond the bound; connection dropped")

// limitedConn reads along with the protocol (RESP 2 and 3) and fails before
// the client sees a length beyond the bounds: the client allocates what a
// server announces, so a lying server could make it allocate 512 MiB for a
// reply that never comes.
type limitedConn struct {
	net.Conn
	scan replyScanner
}

func newLimitedConn(c net.Conn, maxBulk int) *limitedConn {
	return &limitedConn{Conn: c, scan: replyScanner{maxBulk: int64(maxBulk)}}
}

// Read reads from the connection; called by one goroutine at a time.
func (c *limitedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if !c.scan.accept(p[:n]) {
		return 0, errReplyTooLarge
	}
	return n, err
}

// SyscallConn lets the client's pool see whether an idle connection has died.
func (c *limitedConn) SyscallConn() (syscall.RawConn, error) {
	if sc, ok := c.Conn.(syscall.Conn); ok {
		return sc.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// replyScanner follows the headers of a stream of replies and skips their
// payloads, in any cut of the stream into chunks. Nesting needs no stack: an
// element of an array begins like a reply of its own.
type replyScanner struct {
	maxBulk int64
	skip    int64 // bytes of payload, with its CRLF, still to come
	length  int   // bytes of the present line so far
	kind    byte  // first byte of the present line
	number  int64 // digits of the present line's length so far
	digits  bool  // no byte but digits has followed kind
}

// accept reports whether the replies stay within the bounds as far as they are
// known with b.
func (s *replyScanner) accept(b []byte) bool {
	for len(b) > 0 {
		if s.skip > 0 {
			n := min(s.skip, int64(len(b)))
			s.skip -= n
			b = b[n:]
			continue
		}
		ch := b[0]
		b = b[1:]
		switch {
		case s.length == 0:
			s.kind, s.number, s.digits = ch, 0, true
			s.length = 1
		case ch == '\n':
			s.endLine()
		default:
			s.length++
			if !s.lineByte(ch) {
				return false
			}
		}
	}
	return true
}

// lineByte takes the next byte of a line and reports whether it may stand.
func (s *replyScanner) lineByte(ch byte) bool {
	if s.length > maxReplyLine {
		return false
	}
	if ch < '0' || ch > '9' {
		// The client reads a plus sign as a number's, so it hides nothing.
		s.digits = s.digits && (ch == '\r' || (ch == '+' && s.length == 2))
		return true
	}
	if !s.digits {
		return true
	}
	s.number = s.number*10 + int64(ch-'0')
	switch s.kind {
	case '$', '=', '!', ';':
		return s.number <= s.maxBulk
	case '*', '%', '~', '>', '|':
		return s.number <= maxReplyItems
	default:
		s.digits = false // not a length: a status, an error, an integer
		return true
	}
}

// endLine moves on to the payload that the line announced, if any.
func (s *replyScanner) endLine() {
	switch s.kind {
	case '$', '=', '!', ';':
		if s.digits && s.length > 2 { // more than the kind and a CR
			s.skip = s.number + 2
		}
	}
	s.length = 0
}
