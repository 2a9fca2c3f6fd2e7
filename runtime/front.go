package perfopt

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"sync/atomic"

	"github.com/perfopt/perfopt/cache/tiered"
	"github.com/perfopt/perfopt/runtime/proxy"
)

// front is the proxy with the caches behind it.
type front struct {
	origin *url.URL
	stores map[string]proxy.Store
	proxy  *proxy.Proxy
	server *proxy.Server
}

// buildFront builds the proxy where there is an origin.
func (rt *Runtime) buildFront(cfg Config) error {
	origin := rt.fallbackOrigin
	if cfg.Origin.URL != "" {
		var err error
		if origin, err = url.Parse(cfg.Origin.URL); err != nil {
			return fmt.Errorf("origin.url: %w", err)
		}
	}
	if origin == nil {
		return nil
	}
	f := &front{origin: origin}
	var ready atomic.Pointer[proxy.Proxy] // set before the first request
	load := func(ctx context.Context, key string, prior tiered.Prior[*proxy.Response]) (tiered.Loaded[*proxy.Response], error) {
		return ready.Load().Load(ctx, key, prior)
	}
	f.stores = map[string]proxy.Store{}
	for _, name := range frontCaches(cfg) {
		c, err := openCache(rt, name, cacheParts[string, *proxy.Response]{
			weigher: proxy.Weigh, codec: proxy.Codec{MaxBody: cfg.Proxy.MaxBody.Bytes()}, identity: proxy.Identity, load: load,
			loadTimeout: -1, // the proxy bounds its own requests, by route
		})
		if err != nil {
			return err
		}
		f.stores[name] = c
	}
	options, err := f.options(cfg)
	if err != nil {
		return err
	}
	options.Limiter, options.Logger = rt.scheduler, rt.log.Named("proxy")
	if f.proxy, err = proxy.New(options); err != nil {
		return err
	}
	ready.Store(f.proxy)
	rt.onClose(func() error { f.proxy.Close(); return nil })
	f.server = proxy.NewServer(f.proxy, proxy.ServerOptions{
		ReadTimeout: cfg.Proxy.ReadTimeout.Std(), WriteTimeout: cfg.Proxy.WriteTimeout.Std(),
		IdleTimeout: cfg.Proxy.IdleTimeout.Std(), Logger: rt.log.Named("http"),
	})
	rt.front = f
	return nil
}

// frontCaches lists the caches that the proxy uses: the default one and those
// that routes name.
func frontCaches(cfg Config) []string {
	names := []string{"default"}
	for _, r := range cfg.Routes {
		if named(cfg, r.Cache) != "default" && r.Cache != "off" && !slices.Contains(names, r.Cache) {
			names = append(names, r.Cache)
		}
	}
	return names
}

// named returns the cache that a route really uses.
func named(cfg Config, cache string) string {
	if cache == "" || !cfg.Cache.NamedCaches && cache != "off" {
		return "default"
	}
	return cache
}

// proxyOptions translates what the configuration says of requests.
func proxyOptions(cfg Config) (proxy.Options, error) {
	o := proxy.Options{
		HostFromOrigin: !cfg.Origin.PreserveHost,
		Timeout:        cfg.Origin.Timeout.Std(),
		TTLDefault:     cfg.Cache.TTLDefault.Std(), TTLMin: cfg.Cache.TTLMin.Std(), TTLMax: cfg.Cache.TTLMax.Std(),
		MaxBody: cfg.Proxy.MaxBody.Bytes(), ShowKey: cfg.Proxy.ShowKey,
	}
	for _, text := range cfg.Proxy.TrustedProxies {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			addr, err := netip.ParseAddr(text)
			if err != nil {
				return o, fmt.Errorf("proxy.trusted_proxies: %w", err)
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		o.TrustedProxies = append(o.TrustedProxies, prefix)
	}
	for _, r := range cfg.Routes {
		cache := named(cfg, r.Cache)
		own := cfg.Resolved(cache)
		route := proxy.Route{
			Host: r.Host, Path: r.Path, Methods: r.Methods, Cache: cache, Priority: r.Priority, TrustPriority: r.TrustPriority,
			TTLDefault: own.TTLDefault.Std(), TTLMin: own.TTLMin.Std(), TTLMax: own.TTLMax.Std(), Timeout: r.Timeout.Std(),
		}
		if r.TTLDefault != 0 {
			route.TTLDefault = r.TTLDefault.Std()
		}
		if r.TTLMin != 0 {
			route.TTLMin = r.TTLMin.Std()
		}
		if r.TTLMax != 0 {
			route.TTLMax = r.TTLMax.Std()
		}
		o.Routes = append(o.Routes, route)
	}
	return o, nil
}

// options returns what the configuration says of requests, for this proxy.
func (f *front) options(cfg Config) (proxy.Options, error) {
	o, err := proxyOptions(cfg)
	o.Origin, o.Cache, o.Caches = f.origin, f.stores["default"], f.stores
	return o, err
}

// check finds out whether the proxy would take a configuration.
func (f *front) check(cfg Config) error {
	o, err := f.options(cfg)
	if err != nil {
		return err
	}
	if err := f.proxy.Check(o); err != nil {
		return fmt.Errorf("%w (a named cache that is new in the file exists from the next start on)", err)
	}
	return nil
}

// reload gives the proxy what the configuration says of requests.
func (f *front) reload(cfg Config) error {
	o, err := f.options(cfg)
	if err != nil {
		return err
	}
	return f.proxy.Reconfigure(o)
}
