package proxy

import (
	"context"
	"hash/maphash"
	"net/http"
	"sync"
	"time"

	"github.com/perfopt/perfopt/cache/tiered"
)

// safe reports whether a method is registered as one that changes nothing at
// the origin. What is unknown is not.
func safe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, "PROPFIND", "REPORT", "SEARCH", "QUERY":
		return true
	}
	return false
}

// invalidate drops the answers that an unsafe request has made doubtful: those
// for its target and, if they are of the same origin, for what Location and
// Content-Location name (RFC 9111, 4.4).
func (x *exchange) invalidate(h http.Header) {
	keys := []string{x.key}
	base, err := x.r.URL.Parse(x.proto + "://" + x.seenHost + x.path)
	for _, name := range []string{"Location", "Content-Location"} {
		value := first(h, name)
		if value == "" || err != nil {
			continue
		}
		u, err := base.Parse(value)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" {
			continue
		}
		host, err := normalisedHost(u.Host, u.Scheme)
		sameAsSeen := host == x.seenHost && u.Scheme == x.proto
		if err != nil || !sameAsSeen && u.Host != x.p.origin.Host {
			continue
		}
		query := ""
		if u.RawQuery != "" || u.ForceQuery {
			query = "?" + u.RawQuery
		}
		path := u.EscapedPath()
		if path == "" {
			path = "/"
		}
		keys = append(keys, resourceKey(x.proto, x.seenHost, path, query))
	}
	// The client may have left; what it has changed has changed.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.r.Context()), time.Second)
	defer cancel()
	for _, key := range keys {
		x.p.changes.note(key)
		for _, store := range x.p.stores {
			if err := store.Delete(ctx, key); err != nil {
				x.p.logger.Debug("an invalidation is not confirmed by the second tier", "error", err)
			}
		}
	}
}

const changeStripes = 256

// changes keeps what was asked for before an unsafe request, and came back
// after it, out of the cache where it is not a Fetch that brings it: a Fetch is
// voided by Delete itself. Keys share stripes; a change of another key then
// costs an entry, nothing else. Safe for concurrent use.
type changes struct {
	once    sync.Once
	seed    maphash.Seed
	stripes [changeStripes]changeStripe
}

type changeStripe struct {
	mu sync.Mutex // guards the fields below, and is held while something is put
	n  uint64
}

func (c *changes) stripe(key string) *changeStripe {
	c.once.Do(func() { c.seed = maphash.MakeSeed() })
	return &c.stripes[maphash.String(c.seed, key)%changeStripes]
}

// now returns what putUnchanged compares with.
func (c *changes) now(key string) uint64 {
	s := c.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

// note remembers that a resource has changed. It is called before the Delete.
func (c *changes) note(key string) {
	s := c.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
}

// putUnchanged stores an answer for the resource base under key, unless that
// has changed since.
func (c *changes) putUnchanged(ctx context.Context, store Store, base, key string, since uint64, l tiered.Loaded[*Response]) (tiered.Item[*Response], bool) {
	s := c.stripe(base)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n != since {
		return tiered.Item[*Response]{}, false
	}
	item, err := store.Put(ctx, key, l)
	return item, err == nil
}
