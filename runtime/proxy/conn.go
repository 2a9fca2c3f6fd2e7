package proxy

import (
	"io"
	"net"
	"sync"
	"time"
)

// poison is what net/http reads in place of bytes that the scanner refused. In
// a head it is a line without a colon, in chunked content a size that is none:
// either way net/http answers 400, after all earlier answers, and closes.
const poison = "\x00\r\n\x00\r\n\r\n"

const (
	laneBuffer = 4 << 10
	// lastRequest is how long an idle connection is kept when the server shuts
	// down, for a request that the client may have sent already.
	lastRequest = 200 * time.Millisecond
)

// conn is a client's connection as net/http sees it. Its Read lets through
// only what the scanner accepts and, while net/http waits for the next request
// on a connection that has been served before, answers what the fast lane can
// answer without net/http ever seeing it.
//
// While a handler runs net/http reads one byte ahead to learn of a client that
// leaves. A client that is quick may so have a request answered by net/http
// that the lane could have answered; nothing else comes of it.
//
// Read, and all fields that no lock guards, belong to whoever reads: one
// goroutine at a time, as net/http has it.
type conn struct {
	net.Conn
	server *Server

	scan        scanner
	opaque      bool   // what comes is not HTTP any more
	poison      string // left to be read of the poison; the end follows
	poisoned    bool
	idle        bool   // net/http waits for the next request
	peer        string // address of the client, without a port
	usesLane    bool
	buf         []byte // laneBuffer bytes, once the lane has been used
	start, end  int    // what of buf is read and not passed on
	deadlineSet time.Time
	out         laneWriter

	mu sync.Mutex // guards the fields below
	// inLane: the connection waits for a request, or answers one, in the lane;
	// net/http believes it idle.
	inLane  bool
	closing bool // to be closed after one more request, or lastRequest
	closed  bool
}

// Read reads what net/http may see.
func (c *conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if c.idle && c.usesLane && c.scan.atStart() && !c.poisoned && !c.opaque {
		if err := c.runLane(); err != nil {
			return 0, err
		}
	}
	c.idle = false
	for {
		if c.poisoned {
			if c.poison == "" {
				return 0, io.EOF
			}
			n := copy(p, c.poison)
			c.poison = c.poison[n:]
			return n, nil
		}
		n, err := c.readRaw(p)
		if n == 0 || c.opaque {
			return n, err
		}
		if ok := c.scan.feed(p[:n]); ok < n {
			c.poisoned, c.poison = true, poison
			n, err = ok, nil
		}
		if n > 0 {
			return n, err
		}
	}
}

// readRaw reads what the client sent, first what the lane has left.
func (c *conn) readRaw(p []byte) (int, error) {
	if c.start < c.end {
		n := copy(p, c.buf[c.start:c.end])
		c.start += n
		return n, nil
	}
	return c.Conn.Read(p)
}

// runLane answers requests until there is one that is for net/http, which is
// then left in buf, or the connection ends.
func (c *conn) runLane() error {
	if c.buf == nil {
		c.buf = make([]byte, laneBuffer)
	}
	c.enterLane()
	for {
		if c.start == c.end {
			c.start, c.end = 0, 0
			n, err := c.Conn.Read(c.buf)
			if n == 0 {
				c.leaveLane(err != nil)
				return err
			}
			c.end = n
		}
		n, ok := c.answer(c.buf[c.start:c.end])
		if !ok {
			c.leaveLane(false)
			return nil
		}
		c.start += n
		if c.out.last {
			c.leaveLane(true)
			return io.EOF
		}
	}
}

func (c *conn) enterLane() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inLane = true
	c.deadlineSet = time.Now()
	_ = c.Conn.SetWriteDeadline(c.writeDeadline(c.deadlineSet))
}

// writeDeadline leaves every answer its time until the deadlines are renewed.
func (c *conn) writeDeadline(now time.Time) time.Time {
	return now.Add(c.server.http.WriteTimeout + c.server.http.IdleTimeout/8)
}

// leaveLane gives the connection back to net/http, or ends it.
func (c *conn) leaveLane(end bool) {
	c.mu.Lock()
	c.inLane = false
	end = end && c.closing
	c.mu.Unlock()
	if end {
		c.Close()
	}
}

// renew moves the deadlines of a connection on that the lane keeps busy. They
// are coarse: an idle connection may be closed an eighth early.
func (c *conn) renew(now time.Time) {
	idle := c.server.http.IdleTimeout
	if now.Sub(c.deadlineSet) < idle/8 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing || c.closed {
		return
	}
	c.deadlineSet = now
	_ = c.Conn.SetReadDeadline(now.Add(idle))
	_ = c.Conn.SetWriteDeadline(c.writeDeadline(now))
}

// isClosing reports whether the next answer is the last one.
func (c *conn) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// passThrough ends the reading of requests: the connection belongs to another
// protocol.
func (c *conn) passThrough() { c.opaque = true }

// Close closes the connection. One that is in the lane, and that net/http
// therefore takes for idle, ends after the request that it has, or may be about
// to get.
func (c *conn) Close() error {
	c.mu.Lock()
	if c.inLane && !c.closing {
		c.closing = true
		_ = c.Conn.SetReadDeadline(time.Now().Add(lastRequest))
		c.mu.Unlock()
		return nil
	}
	if c.inLane || c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	c.mu.Unlock()
	return c.drop()
}

// cut closes the connection whatever it does.
func (c *conn) cut() {
	c.mu.Lock()
	closed := c.closed
	c.closed = true
	c.mu.Unlock()
	if !closed {
		_ = c.drop()
	}
}

func (c *conn) drop() error {
	c.server.remove(c)
	return c.Conn.Close()
}
