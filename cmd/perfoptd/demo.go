package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/perfopt/perfopt/docs"
	"github.com/perfopt/perfopt/runtime/demo"
)

// demoOrigin is the demo origin behind a listener of its own, so that what
// stands in front of it is a proxy like any other.
type demoOrigin struct {
	title  string
	url    string
	site   *demo.Site
	server *http.Server
	served sync.WaitGroup
}

func startDemo() (*demoOrigin, error) {
	site, err := demo.Open(demo.Options{Fallback: docs.Files})
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("demo origin: %w", err), site.Close())
	}
	o := &demoOrigin{
		title: site.Title(), url: "http://" + l.Addr().String(), site: site,
		server: &http.Server{Handler: site, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute},
	}
	o.served.Go(func() { _ = o.server.Serve(l) }) // ends by stop
	return o, nil
}

// stop ends the origin; the proxy in front of it has drained already.
func (o *demoOrigin) stop() {
	_ = o.server.Close()
	o.served.Wait()
	_ = o.site.Close()
}
