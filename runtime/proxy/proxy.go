// Package proxy is a caching HTTP reverse proxy in front of one origin: a shared
// cache by the rules of RFC 9111, with stricter ones of its own where those
// would let one user see another's answer.
//
// A [Proxy] is the handler. It makes the request that it would send to the
// origin, builds the key from that ([Proxy] says how), looks into a [Store] of
// [Response] values, and otherwise asks the origin as a task of a [Limiter].
// Requests for the same key wait for one answer; one that turns out not to be
// storable is given to the request that began it and to no other. [Route] rules
// choose the cache, the priority and the bounds of the lifetime. [Codec] is the
// form of a response in a second tier, [Proxy.Load] the loader of the prefetch
// policy. [Server] runs the handler behind a guard that reads every request
// head before net/http does, refuses what two servers could read differently,
// and answers plain requests for fresh entries itself.
//
// What is not a plain GET or HEAD (content, ranges, upgrades, preconditions,
// other methods) passes through uncached. Every answer carries Cache-Status
// (RFC 9211).
//
// This package must not know who evicts, who decides lifetimes or who limits:
// it knows no policy, no WebAssembly and not the program that wires it.
//
// Caveats. An answer that is to be stored is read whole before the first byte
// of it is sent. Nothing stale is ever served. Answers without explicit
// freshness are stored only for requests without Cookie and Authorization,
// answers that end with the connection never, because whole and cut look alike.
package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	hclog "github.com/hashicorp/go-hclog"

	"github.com/perfopt/perfopt/cache/tiered"
	"github.com/perfopt/perfopt/scheduler"
)

// Store is where answers are kept: a [*tiered.Cache].
type Store interface {
	// Get returns a fresh answer and counts as an access.
	Get(key string) (tiered.Item[*Response], bool)
	// Peek returns an answer, fresh or stale, and counts as nothing.
	Peek(key string) (tiered.Item[*Response], bool)
	// Fetch returns a fresh answer, loading it if need be; callers for the same
	// key wait for one load.
	Fetch(ctx context.Context, key string, load tiered.Loader[string, *Response]) (tiered.Item[*Response], error)
	// Put stores what was loaded elsewhere.
	Put(ctx context.Context, key string, l tiered.Loaded[*Response]) (tiered.Item[*Response], error)
	// Delete makes an answer unreachable in all tiers, also one that a Fetch
	// brings that began before.
	Delete(ctx context.Context, key string) error
}

// Limiter admits origin requests: a [*scheduler.Scheduler].
type Limiter interface {
	Acquire(ctx context.Context, p scheduler.Priority) (scheduler.Permit, error)
}

// DefaultMaxBody is the largest content that is stored if nothing else is said.
const DefaultMaxBody = 4 << 20

const (
	defaultTimeout = 30 * time.Second
	dialTimeout    = 5 * time.Second
	// maxFields bounds the lines of a request's header, maxOriginHead the size
	// of an answer's.
	maxFields     = 100
	maxOriginHead = 64 << 10
)

// Options configure a proxy. Origin and Cache are required.
type Options struct {
	// Origin is the server behind: http or https, host, and a path that is put
	// before that of each request.
	Origin *url.URL
	// HostFromOrigin sends the origin's own host name instead of the client's,
	// which is then in X-Forwarded-Host, and part of the key. Wanted where the
	// origin is one of several virtual servers.
	HostFromOrigin bool
	// Transport sends requests to the origin. Default: one of net/http without
	// proxies, redirects, compression and HTTP/2.
	Transport http.RoundTripper

	// Cache keeps the answers of routes that name no other; nil: nothing is
	// cached.
	Cache Store
	// Caches are the named caches that routes may name.
	Caches map[string]Store
	// Limiter admits origin requests. Default: all are admitted.
	Limiter Limiter

	// Routes are the rules; the first that matches counts.
	Routes []Route
	// Timeout is for an answer of the origin: for waiting for admission, for
	// the head and stored content together, and for each silence of streamed
	// content. Default 30s.
	Timeout time.Duration
	// TTLDefault, TTLMin and TTLMax hold where a route does not say its own.
	// With a TTLDefault of 0 an answer that says nothing of its freshness is
	// stored only to be validated each time.
	TTLDefault, TTLMin, TTLMax time.Duration

	// MaxBody is the largest content that is stored, in bytes. Larger ones
	// stream through. Default [DefaultMaxBody].
	MaxBody int64
	// TrustedProxies are clients whose X-Forwarded-* and similar fields are
	// believed and extended. From others they are dropped.
	TrustedProxies []netip.Prefix
	// ShowKey puts the key into Cache-Status. For debugging: keys tell what
	// other clients ask for.
	ShowKey bool
	// Logger hears of answers that could not be sent whole (debug) and of
	// origin failures (debug). Default: nobody.
	Logger hclog.Logger
}

// Proxy is the handler. The key of a request is the URL that the client sees,
// scheme://authority followed by the exact path and query that the origin
// gets, and, if the answers vary, the marker's generation and the fields they
// vary by. Safe for concurrent use.
type Proxy struct {
	origin         *url.URL
	hostFromOrigin bool
	transport      http.RoundTripper
	limiter        Limiter
	stores         []Store
	logger         hclog.Logger
	rules          atomic.Pointer[rules] // exchanged by Reconfigure

	counted    counted
	repeatable repeatables
	upgraded   upgrades
	changes    changes
	buffers    sync.Pool // of *[]byte, for streams

	originRequests, originErrors, prefetches, aborted atomic.Uint64
}

var _ http.Handler = (*Proxy)(nil)

// New returns a proxy, or all that is wrong with the options.
func New(o Options) (*Proxy, error) {
	if o.Origin == nil || o.Origin.Host == "" || o.Origin.Scheme != "http" && o.Origin.Scheme != "https" {
		return nil, errors.New("origin: want http://host or https://host, with a port and path as needed")
	}
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	if o.Transport == nil {
		o.Transport = newTransport()
	}
	p := &Proxy{
		origin: o.Origin, hostFromOrigin: o.HostFromOrigin, transport: o.Transport, limiter: o.Limiter, logger: o.Logger,
	}
	rules, err := p.newRules(o)
	if err != nil {
		return nil, err
	}
	p.rules.Store(rules)
	if o.Cache != nil {
		p.stores = append(p.stores, o.Cache)
	}
	for _, s := range o.Caches {
		p.stores = append(p.stores, s)
	}
	return p, nil
}

func newTransport() *http.Transport {
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    dialTimeout,
		DisableCompression:     true,
		MaxIdleConns:           1024,
		MaxIdleConnsPerHost:    256,
		IdleConnTimeout:        60 * time.Second,
		MaxResponseHeaderBytes: maxOriginHead,
		ExpectContinueTimeout:  time.Second,
	}
}

// Close ends upgraded connections and idle ones to the origin. Requests in
// flight are not cut off: shut the [Server] down first. It may be called twice.
func (p *Proxy) Close() {
	p.upgraded.closeAll()
	if t, ok := p.transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}
