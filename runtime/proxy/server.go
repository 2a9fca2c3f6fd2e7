package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	hclog "github.com/hashicorp/go-hclog"
)

// ServerOptions are the bounds of a [Server]. The zero value is what we
// recommend.
type ServerOptions struct {
	// ReadHeaderTimeout is for a request's head. Default 5s.
	ReadHeaderTimeout time.Duration
	// ReadTimeout is for a whole request. Default 30s.
	ReadTimeout time.Duration
	// WriteTimeout is for an answer; one that is streamed may take it again
	// for each part that is sent. Default 60s.
	WriteTimeout time.Duration
	// IdleTimeout is for a connection without request. Default 60s.
	IdleTimeout time.Duration
	// MaxHeaderBytes bounds a request's head. Default 32 KiB.
	MaxHeaderBytes int
	// NetHTTPOnly answers every request through net/http, for comparison.
	NetHTTPOnly bool
	// Logger hears of what net/http complains about (debug). Default: nobody.
	Logger hclog.Logger
}

func (o ServerOptions) withDefaults() ServerOptions {
	setDefault(&o.ReadHeaderTimeout, 5*time.Second)
	setDefault(&o.ReadTimeout, 30*time.Second)
	setDefault(&o.WriteTimeout, 60*time.Second)
	setDefault(&o.IdleTimeout, 60*time.Second)
	if o.MaxHeaderBytes == 0 {
		o.MaxHeaderBytes = 32 << 10
	}
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	return o
}

// Server serves a [Proxy] over HTTP/1. Every byte that a client sends passes a
// scanner before net/http sees it; what is ambiguous is answered 400 and the
// connection closed. Plain GET requests for fresh entries, on connections that
// have had a request before, are answered without net/http. Safe for
// concurrent use.
type Server struct {
	proxy *Proxy
	http  *http.Server
	lane  bool

	laneHits atomic.Uint64 // requests answered in the lane

	mu    sync.Mutex // guards the fields below
	conns map[*conn]struct{}
	// empty is closed when the last connection ends while somebody waits.
	empty chan struct{}
}

// NewServer returns a server that is not serving yet.
func NewServer(p *Proxy, o ServerOptions) *Server {
	o = o.withDefaults()
	s := &Server{proxy: p, lane: !o.NetHTTPOnly, conns: make(map[*conn]struct{})}
	s.http = &http.Server{
		Handler:           p,
		ReadHeaderTimeout: o.ReadHeaderTimeout,
		ReadTimeout:       o.ReadTimeout,
		WriteTimeout:      o.WriteTimeout,
		IdleTimeout:       o.IdleTimeout,
		MaxHeaderBytes:    o.MaxHeaderBytes,
		ConnState:         s.connState,
		ErrorLog:          o.Logger.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
		// OPTIONS * goes to the handler, which refuses it with a Cache-Status.
		DisableGeneralOptionsHandler: true,
	}
	return s
}

// Serve accepts connections until Shutdown or Close, and returns nil then.
func (s *Server) Serve(l net.Listener) error {
	err := s.http.Serve(&listener{Listener: l, server: s})
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("proxy: serve %s: %w", l.Addr(), err)
}

// Shutdown stops accepting, lets every request end that a client has sent, and
// waits for it. When ctx ends first, what is left is cut off and the error is
// that of ctx.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	s.proxy.upgraded.closeAll()
	for {
		s.mu.Lock()
		left := len(s.conns)
		if left > 0 && s.empty == nil {
			s.empty = make(chan struct{})
		}
		empty := s.empty
		s.mu.Unlock()
		if left == 0 {
			return err
		}
		select {
		case <-empty:
		case <-ctx.Done():
			s.cutAll()
			return ctx.Err()
		}
	}
}

// Close cuts all connections off.
func (s *Server) Close() error {
	err := s.http.Close()
	s.proxy.upgraded.closeAll()
	s.cutAll()
	return err
}

func (s *Server) cutAll() {
	s.mu.Lock()
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		c.cut()
	}
}

// connState tells a connection that net/http waits for its next request.
func (s *Server) connState(nc net.Conn, state http.ConnState) {
	if c, ok := nc.(*conn); ok && state == http.StateIdle {
		c.idle = true
	}
}

func (s *Server) add(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = struct{}{}
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if len(s.conns) == 0 && s.empty != nil {
		close(s.empty)
		s.empty = nil
	}
}

// listener gives net/http guarded connections.
type listener struct {
	net.Listener
	server *Server
}

// Accept waits for a connection.
func (l *listener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: nc, server: l.server}
	c.peer, _, err = net.SplitHostPort(nc.RemoteAddr().String())
	c.usesLane = l.server.lane && err == nil
	l.server.add(c)
	return c, nil
}
