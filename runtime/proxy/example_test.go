package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"

	"github.com/perfopt/perfopt/cache"
	"github.com/perfopt/perfopt/cache/tiered"
	"github.com/perfopt/perfopt/runtime/proxy"
)

func Example() {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprint(w, "slow work")
	}))
	defer origin.Close()
	u, err := url.Parse(origin.URL)
	if err != nil {
		panic(err)
	}
	store, err := tiered.New(tiered.Options[string, *proxy.Response]{
		L1:          cache.Options[string, *proxy.Response]{Capacity: 64 << 20, Weigher: proxy.Weigh},
		Codec:       proxy.Codec{},
		LoadTimeout: -1, // the proxy bounds its requests to the origin itself
	})
	if err != nil {
		panic(err)
	}
	defer store.Close()
	p, err := proxy.New(proxy.Options{Origin: u, Cache: store})
	if err != nil {
		panic(err)
	}
	defer p.Close()

	front := httptest.NewServer(p) // in production: proxy.NewServer
	defer front.Close()
	for range 2 {
		resp, err := http.Get(front.URL + "/")
		if err != nil {
			panic(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			panic(err)
		}
		resp.Body.Close()
		fmt.Printf("%s: %s\n", body, resp.Header.Get("Cache-Status"))
	}
	http.DefaultClient.CloseIdleConnections()
	// Output:
	// slow work: perfopt; fwd=uri-miss; ttl=60; stored
	// slow work: perfopt; hit; ttl=60
}
