package proxy

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/perfopt/perfopt/cache/l2"
	"github.com/perfopt/perfopt/cache/tiered"
)

// shelf is a second tier in memory, shared by several proxies.
type shelf struct {
	mu     sync.Mutex
	values map[string][]byte
}

func (s *shelf) Get(_ context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, ok := s.values[key]; ok {
		return v, nil
	}
	return nil, l2.ErrMiss
}

func (s *shelf) Set(_ context.Context, items ...l2.Item) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range items {
		s.values[i.Key] = i.Value
	}
	return nil
}

func (s *shelf) Delete(_ context.Context, keys ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		delete(s.values, key)
	}
	return nil
}

func (s *shelf) Ping(context.Context) error { return nil }
func (s *shelf) Close() error               { return nil }

func (s *shelf) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.values)
}

func TestAnotherProxyFindsAnswersInTheSecondTier(t *testing.T) {
	shared := &shelf{values: map[string][]byte{}}
	both := settings{cache: func(o *tiered.Options[string, *Response]) { o.L2 = shared }}
	one := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		if r.URL.Path == "/vary" {
			w.Header().Set("Vary", "Accept-Language")
		}
		fmt.Fprint(w, r.URL.Path, r.Header.Get("Accept-Language"))
	}, both)
	two := &world{t: t}
	two.start(one.origin.URL, both)
	fields := []string{"Host: www.example", "Accept-Language: de"}
	for _, target := range []string{"/plain", "/vary"} {
		one.get(target, fields...)
	}
	eventually(t, "all entries are written", func() bool { return shared.len() >= 3 })
	// What a second proxy knows not from its own past, it finds.
	eventually(t, "the second proxy reads the second tier", func() bool {
		return strings.HasPrefix(two.get("/plain", fields...).cacheStatus(), "perfopt; hit")
	})
	asked := one.asked.Load()
	for target, want := range map[string]string{"/plain": "/plainde", "/vary": "/varyde"} {
		got := two.get(target, fields...)
		if got.body != want || !strings.HasPrefix(got.cacheStatus(), "perfopt; hit") {
			t.Errorf("%s: %q, %q", target, got.body, got.cacheStatus())
		}
	}
	one.wantAsked(asked, "hits in the second tier")
}
