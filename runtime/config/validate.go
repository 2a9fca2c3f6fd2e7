package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/perfopt/perfopt/policies"
)

var (
	cacheName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)
	digest    = regexp.MustCompile(`^[0-9a-f]{64}$`)
	method    = regexp.MustCompile(`^[A-Z]+$`)
)

// checker collects what is wrong, with the line of each key.
type checker struct {
	source   string
	lines    lineIndex
	problems Problems
}

func (c *checker) fail(key, format string, args ...any) {
	c.problems = append(c.problems, Problem{
		Source: c.source, Line: c.lines.of(key), Key: key, Message: fmt.Sprintf(format, args...),
	})
}

func (c *checker) that(ok bool, key, format string, args ...any) {
	if !ok {
		c.fail(key, format, args...)
	}
}

func (cfg Config) check(source string, lines lineIndex) Problems {
	c := &checker{source: source, lines: lines}
	cfg.checkListen(c)
	cfg.checkOrigin(c)
	cfg.checkCache(c)
	cfg.checkScheduler(c)
	cfg.checkPolicies(c)
	cfg.checkCaches(c)
	cfg.checkRoutes(c)
	c.that(slices.Contains([]string{"trace", "debug", "info", "warn", "error"}, cfg.Log.Level), "log.level",
		"%q is not a level: want trace, debug, info, warn or error", cfg.Log.Level)
	c.that(cfg.Log.Format == "text" || cfg.Log.Format == "json", "log.format", "%q is not a format: want text or json", cfg.Log.Format)
	if a := cfg.Record.Accesses; a != "" {
		known := strings.HasSuffix(a, ".oracleGeneral") || strings.HasSuffix(a, ".oracleGeneral.gz") || strings.HasSuffix(a, ".oracleGeneral.zst")
		c.that(known, "record.accesses", "%q: the name must end in .oracleGeneral, .oracleGeneral.gz or .oracleGeneral.zst", a)
	}
	return c.problems
}

func (cfg Config) checkListen(c *checker) {
	checkAddress(c, "listen.proxy", cfg.Listen.Proxy)
	checkAddress(c, "listen.admin", cfg.Listen.Admin)
	if token := cfg.Listen.AdminToken; token != "" {
		c.that(strings.HasPrefix(token, "file:") || strings.HasPrefix(token, "env:"), "listen.admin_token",
			`want "file:PATH" or "env:NAME": a token itself does not belong in this file`)
	} else if host, _, err := net.SplitHostPort(cfg.Listen.Admin); err == nil {
		c.that(IsLoopback(host), "listen.admin",
			"%q is reachable from other machines: set listen.admin_token, or listen on 127.0.0.1", cfg.Listen.Admin)
	}
	for _, h := range cfg.Listen.AdminHosts {
		c.that(h != "" && !strings.ContainsAny(h, "/ "), "listen.admin_hosts", "%q is not a host name", h)
	}
}

// checkAddress checks where to listen; "" means that nothing listens there.
func checkAddress(c *checker, key, address string) {
	if address == "" {
		return
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		c.fail(key, "%q is not an address: want host:port, such as \"127.0.0.1:8080\"", address)
		return
	}
	if n, err := net.LookupPort("tcp", port); err != nil || n < 0 {
		c.fail(key, "%q is not a port", port)
	}
	if host != "" && host != "localhost" {
		if _, err := netip.ParseAddr(host); err != nil {
			c.fail(key, "%q is not an IP address or localhost", host)
		}
	}
}

// IsLoopback reports whether a listening host is reachable from this machine
// only.
func IsLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

func (cfg Config) checkOrigin(c *checker) {
	if cfg.Origin.URL != "" {
		u, err := url.Parse(cfg.Origin.URL)
		ok := err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil && u.RawQuery == "" && u.Fragment == ""
		c.that(ok, "origin.url", "%q is not an origin: want http://host[:port] or https://host[:port], with a path if need be", cfg.Origin.URL)
	}
	c.that(cfg.Origin.Timeout > 0, "origin.timeout", "must be greater than 0")
	for key, d := range map[string]Duration{
		"proxy.read_timeout": cfg.Proxy.ReadTimeout, "proxy.write_timeout": cfg.Proxy.WriteTimeout,
		"proxy.idle_timeout": cfg.Proxy.IdleTimeout, "proxy.drain_timeout": cfg.Proxy.DrainTimeout,
	} {
		c.that(d > 0, key, "must be greater than 0")
	}
	c.that(cfg.Proxy.MaxBody > 0 && cfg.Proxy.MaxBody <= 1<<30, "proxy.max_body", "must be between 1B and 1GiB")
	for _, p := range cfg.Proxy.TrustedProxies {
		_, prefixErr := netip.ParsePrefix(p)
		_, addrErr := netip.ParseAddr(p)
		c.that(prefixErr == nil || addrErr == nil, "proxy.trusted_proxies", "%q is neither an address nor a prefix such as 10.0.0.0/8", p)
	}
}

func (cfg Config) checkCache(c *checker) {
	checkBounds(c, "cache.", cfg.Cache.Capacity, cfg.Cache.MaxEntries, cfg.Cache.TTLMin, cfg.Cache.TTLMax)
	c.that(cfg.Cache.L2.Timeout > 0, "cache.l2.timeout", "must be greater than 0")
	c.that(cfg.Cache.L2.MaxValue > 0 && cfg.Cache.L2.MaxValue <= 512<<20, "cache.l2.max_value", "must be between 1B and 512MiB")
	if cfg.Cache.L2.URL != "" {
		u, err := url.Parse(cfg.Cache.L2.URL)
		schemes := []string{"redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"}
		c.that(err == nil && slices.Contains(schemes, u.Scheme) && u.Host != "", "cache.l2.url",
			"want redis://host:port/db, rediss://, redis+sentinel://host,host/master or redis+cluster://host,host")
	}
	c.that(cfg.Prefetch.Tick > 0, "prefetch.tick", "must be greater than 0")
	c.that(cfg.Prefetch.Budget > 0 && cfg.Prefetch.Budget <= 1024, "prefetch.budget", "must be between 1 and 1024; to switch prefetching off, set enabled = false")
}

func checkBounds(c *checker, prefix string, capacity Size, entries int, ttlMin, ttlMax Duration) {
	c.that(capacity >= 64<<10, prefix+"capacity", "%s is too small: at least 64KiB", capacity)
	c.that(entries >= 0, prefix+"max_entries", "must not be negative")
	c.that(ttlMin > 0, prefix+"ttl_min", "must be greater than 0")
	c.that(ttlMin <= ttlMax, prefix+"ttl_max", "%s is less than ttl_min, %s", ttlMax, ttlMin)
}

func (cfg Config) checkScheduler(c *checker) {
	s := cfg.Scheduler
	c.that(s.MinLimit >= 1, "scheduler.min_limit", "must be at least 1")
	c.that(s.MaxLimit >= s.MinLimit && s.MaxLimit <= 1e6, "scheduler.max_limit", "must be between min_limit, %g, and 1000000", s.MinLimit)
	c.that(s.InitialLimit >= s.MinLimit && s.InitialLimit <= s.MaxLimit, "scheduler.initial_limit",
		"%g is not between min_limit, %g, and max_limit, %g", s.InitialLimit, s.MinLimit, s.MaxLimit)
	c.that(s.Tick >= Duration(1e6) && s.Tick <= Duration(60e9), "scheduler.tick", "must be between 1ms and 1m")
	c.that(s.QueueLength >= 0 && s.QueueLength <= 1<<20, "scheduler.queue_length", "must be between 0 and 1048576")
	c.that(cfg.Guard.Faults >= 1, "guard.faults", "must be at least 1")
	c.that(cfg.Guard.Window > 0, "guard.window", "must be greater than 0")
	c.that(cfg.Guard.Ratio > 0, "guard.ratio", "must be greater than 0")
	c.that(cfg.Guard.MinCalls >= 1, "guard.min_calls", "must be at least 1")
	c.that(cfg.Wasm.MemoryPages >= 1 && cfg.Wasm.MemoryPages <= 16384, "wasm.memory_pages", "must be between 1 and 16384")
	c.that(cfg.Wasm.GoMemoryPages >= 128 && cfg.Wasm.GoMemoryPages <= 16384, "wasm.go_memory_pages", "must be between 128 and 16384")
	c.that(cfg.Wasm.MaxModule >= 1<<10 && cfg.Wasm.MaxModule <= 64<<20, "wasm.max_module", "must be between 1KiB and 64MiB")
	c.that(cfg.Wasm.FuelPercent >= 1 && cfg.Wasm.FuelPercent <= 10000, "wasm.fuel_percent", "must be between 1 and 10000")
}

func (cfg Config) checkPolicies(c *checker) {
	for _, kind := range policies.Kinds() {
		checkPolicy(c, "policy."+string(kind), cfg.Policy.Of(kind), true)
	}
}

func checkPolicy(c *checker, key string, p Policy, required bool) {
	if p.Use == "" {
		unsaid := p.SHA256 == "" && len(p.Config) == 0
		c.that(!required && unsaid, key+".use", "missing: want builtin:NAME, shipped:NAME, a path to a .wasm file, or sha256:HEX")
		return
	}
	scheme, name, ok := strings.Cut(p.Use, ":")
	switch {
	case ok && (scheme == "builtin" || scheme == "shipped"):
		c.that(name != "", key+".use", "%q lacks a name", p.Use)
	case ok && scheme == "sha256":
		c.that(digest.MatchString(name), key+".use", "%q: want sha256: and 64 hexadecimal digits", p.Use)
	default:
		c.that(strings.HasSuffix(p.Use, ".wasm"), key+".use", "%q: want builtin:NAME, shipped:NAME, a path to a .wasm file, or sha256:HEX", p.Use)
	}
	if p.SHA256 != "" {
		c.that(digest.MatchString(p.SHA256), key+".sha256", "want 64 hexadecimal digits")
		c.that(scheme != "builtin", key+".sha256", "a built-in policy has no digest: remove the key")
	}
}

func (cfg Config) checkCaches(c *checker) {
	for name, own := range cfg.Caches {
		prefix := "caches." + name + "."
		c.that(cacheName.MatchString(name) && name != "default" && name != "off", "caches."+name,
			"a cache's name is lower-case letters, digits, '-' and '_', and not default or off")
		n := cfg.Resolved(name)
		checkBounds(c, prefix, n.Capacity, n.MaxEntries, n.TTLMin, n.TTLMax)
		for _, kind := range []policies.Kind{policies.KindEviction, policies.KindTTL, policies.KindPrefetch} {
			checkPolicy(c, prefix+"policy."+string(kind), own.Policy.Of(kind), false)
		}
		c.that(own.Policy.Scaling.Use == "", prefix+"policy.scaling.use", "the scheduler is one: set policy.scaling")
	}
}

func (cfg Config) checkRoutes(c *checker) {
	for i, r := range cfg.Routes {
		prefix := indexed("route", i) + "."
		c.that(r.Path == "" || r.Path[0] == '/' || r.Path[0] == '*', prefix+"path", "%q does not begin with /", r.Path)
		c.that(!strings.ContainsAny(r.Host, "/ "), prefix+"host", "%q is not a host name", r.Host)
		for _, m := range r.Methods {
			c.that(method.MatchString(m), prefix+"methods", "%q is not a method: write it in capitals", m)
		}
		if r.Cache != "" && r.Cache != "off" && r.Cache != "default" {
			_, ok := cfg.Caches[r.Cache]
			c.that(ok, prefix+"cache", "there is no [caches.%s]", r.Cache)
		}
		known := []string{"", "critical", "high", "normal", "low", "background"}
		c.that(slices.Contains(known, r.Priority), prefix+"priority", "%q: want critical, high, normal, low or background", r.Priority)
		if r.TTLMin != 0 && r.TTLMax != 0 {
			c.that(r.TTLMin <= r.TTLMax, prefix+"ttl_max", "%s is less than ttl_min, %s", r.TTLMax, r.TTLMin)
		}
	}
}
