package proxy

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/perfopt/perfopt/scheduler"
)

// upgradeTo returns the protocol that a request wants to change to, if it is
// one that is passed through: websocket. Others, HTTP/2 in clear text above
// all, would carry requests that nobody here reads; a server may ignore the
// wish.
func (x *exchange) upgradeTo() string {
	lines := x.r.Header["Upgrade"]
	if len(lines) != 1 || !strings.EqualFold(lines[0], "websocket") || x.r.Method != http.MethodGet || x.r.ContentLength != 0 ||
		!x.r.ProtoAtLeast(1, 1) {
		return ""
	}
	for _, line := range x.r.Header["Connection"] {
		if hasToken(line, "upgrade") {
			return "websocket"
		}
	}
	return ""
}

func withUpgrade(h http.Header, protocol string) http.Header {
	h = maps.Clone(h)
	h["Connection"] = []string{"Upgrade"}
	h["Upgrade"] = []string{protocol}
	return h
}

// passer is a connection that must not read what follows as requests.
type passer interface{ passThrough() }

// switchProtocols joins the client's connection and the origin's until either
// ends. Such a connection counts in no timeout but the client's going away,
// and is cut by [Proxy.Close].
func (x *exchange) switchProtocols(a *answer, asked string) {
	backend, ok := a.Body.(io.ReadWriteCloser)
	if !ok {
		a.end(scheduler.Ignored)
		x.fail(&originError{http.StatusBadGateway, "protocol", errors.New("the transport cannot switch protocols")})
		return
	}
	a.permit.Release(scheduler.Ignored)
	a.timer.Stop()
	a.detach()
	defer a.end(scheduler.Ignored)
	conn, buffered, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		x.fail(&originError{http.StatusBadGateway, "protocol", err})
		return
	}
	defer conn.Close()
	if c, ok := conn.(passer); ok {
		c.passThrough()
	}
	_ = conn.SetDeadline(time.Time{})
	forget := x.p.upgraded.add(func() {
		conn.Close()
		backend.Close()
	})
	defer forget()

	fields := endToEnd(a.Header)
	fields["Connection"] = []string{"Upgrade"}
	fields["Upgrade"] = []string{asked}
	fields["Cache-Status"] = []string{x.status.String()}
	if _, err := io.WriteString(buffered, "HTTP/1.1 101 Switching Protocols\r\n"); err != nil {
		return
	}
	if fields.Write(buffered) != nil {
		return
	}
	if _, err := io.WriteString(buffered, "\r\n"); err != nil || buffered.Flush() != nil {
		return
	}
	done := make(chan struct{}, 2)
	go func() {
		_, _ = io.Copy(backend, buffered) // what was read already comes first
		backend.Close()
		done <- struct{}{}
	}()
	n, _ := io.Copy(conn, backend)
	x.sent += n
	conn.Close()
	<-done
}

// upgrades are the open upgraded connections, to be closed in the end.
type upgrades struct {
	mu     sync.Mutex // guards the fields below
	next   int
	open   map[int]func()
	closed bool
}

// add remembers how to close a connection and returns what forgets it.
func (u *upgrades) add(end func()) (forget func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		end()
		return func() {}
	}
	if u.open == nil {
		u.open = make(map[int]func())
	}
	id := u.next
	u.next++
	u.open[id] = end
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.open, id)
	}
}

func (u *upgrades) closeAll() {
	u.mu.Lock()
	u.closed = true
	open := u.open
	u.open = nil
	u.mu.Unlock()
	for _, end := range open {
		end()
	}
}
