package perfopt

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

	"github.com/perfopt/perfopt/runtime/admin"
	"github.com/perfopt/perfopt/runtime/dashboard"
	"github.com/perfopt/perfopt/runtime/metrics"
)

// adminDrain is how long the admin side may take to end its answers.
const adminDrain = 3 * time.Second

// faces are what listens: the proxy and the admin side.
type faces struct {
	token   atomic.Pointer[string]
	handler http.Handler // the admin API and page

	mu sync.Mutex
	// guards the fields below
	started       bool
	stopping      bool
	proxyListener net.Listener
	adminListener net.Listener
	rt            *Runtime
	admin         *http.Server
	served        sync.WaitGroup
}

func (f *faces) build(rt *Runtime, cfg Config) error {
	f.rt = rt
	token, err := readToken(cfg.Listen.AdminToken)
	if err != nil {
		return err
	}
	f.token.Store(&token)
	hosts := cfg.Listen.AdminHosts
	if host, _, err := net.SplitHostPort(cfg.Listen.Admin); err == nil && host != "" {
		hosts = append(hosts[:len(hosts):len(hosts)], host)
	}
	f.handler = admin.New(engine{rt}, admin.Options{
		Token:     func() string { return *f.token.Load() },
		Hosts:     hosts,
		Metrics:   metrics.Handler(metricsSource{rt}),
		Page:      dashboard.Handler(),
		MaxModule: cfg.Wasm.MaxModule.Bytes(),
	})
	return nil
}

// AdminHandler returns the admin API and page, for a program that serves them
// itself.
func (rt *Runtime) AdminHandler() http.Handler { return rt.faces.handler }

// ProxyHandler returns the proxy, for a program that serves it itself; nil
// where there is no origin.
func (rt *Runtime) ProxyHandler() http.Handler {
	if rt.front == nil {
		return nil
	}
	return rt.front.proxy
}

// ProxyAddr returns where the proxy listens, "" where it does not.
func (rt *Runtime) ProxyAddr() string {
	return addressOf(rt, func(f *faces) net.Listener { return f.proxyListener })
}

// AdminAddr returns where the admin side listens, "" where it does not.
func (rt *Runtime) AdminAddr() string {
	return addressOf(rt, func(f *faces) net.Listener { return f.adminListener })
}

func addressOf(rt *Runtime, of func(*faces) net.Listener) string {
	rt.faces.mu.Lock()
	defer rt.faces.mu.Unlock()
	if l := of(&rt.faces); l != nil {
		return l.Addr().String()
	}
	return ""
}

func (f *faces) start(ctx context.Context, rt *Runtime) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.started || f.stopping {
		return errors.New("Start was called before")
	}
	f.started = true
	cfg := rt.config()
	var config net.ListenConfig
	listen := func(key, address string) (net.Listener, error) {
		l, err := config.Listen(ctx, "tcp", address)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		return l, nil
	}
	var err error
	if cfg.Listen.Proxy != "" && rt.front != nil {
		if f.proxyListener, err = listen("listen.proxy", cfg.Listen.Proxy); err != nil {
			return err
		}
	}
	if cfg.Listen.Admin != "" {
		if f.adminListener, err = listen("listen.admin", cfg.Listen.Admin); err != nil {
			if f.proxyListener != nil {
				err = errors.Join(err, f.proxyListener.Close())
				f.proxyListener = nil
			}
			return err
		}
	}
	if l := f.proxyListener; l != nil {
		f.served.Go(func() { f.report("proxy", rt.front.server.Serve(l)) })
	}
	if l := f.adminListener; l != nil {
		f.admin = &http.Server{
			Handler: f.handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: time.Minute, IdleTimeout: time.Minute,
			MaxHeaderBytes: 32 << 10, ErrorLog: rt.log.Named("admin").StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
		}
		f.served.Go(func() { f.report("admin", f.admin.Serve(l)) })
	}
	return nil
}

func (f *faces) report(face string, err error) {
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		f.rt.log.Error("a listener failed", "face", face, "error", err)
	}
}

// stop closes the listeners and lets what is in flight end. The admin side
// ends last, so that /readyz says what is going on.
func (f *faces) stop(ctx context.Context) error {
	f.mu.Lock()
	f.stopping = true
	adminServer, front := f.admin, f.rt.front
	proxying := f.proxyListener != nil
	f.mu.Unlock()
	var errs []error
	if proxying {
		errs = append(errs, front.server.Shutdown(ctx))
	}
	f.rt.events.close() // ends the event streams
	if adminServer != nil {
		ctx, cancel := context.WithTimeout(ctx, adminDrain)
		defer cancel()
		if err := adminServer.Shutdown(ctx); err != nil {
			errs = append(errs, adminServer.Close())
		}
	}
	f.served.Wait()
	return errors.Join(errs...)
}

func (f *faces) isStopping() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stopping
}
