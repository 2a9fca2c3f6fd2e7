// Package config turns policies.toml into a typed, validated [Config]. It
// constructs nothing: no listener, no cache, no policy is opened here, so a
// configuration can be checked anywhere and at any time.
//
// The main functions are [Default], [Load] (file, then environment), [Parse]
// (text) and [Config.Validate]. Precedence is flags, then PERFOPT_*
// environment, then the file, then the defaults; flags are the caller's and
// are applied with [Config.Set].
//
// Reading reports all problems at once, each with file, line and key, and
// suggests the nearest known key for an unknown one: see [Problems].
//
// This package must not know what is built from a configuration (runtime), how
// modules are loaded (hostabi) or which built-in policies exist: names are
// checked by their owner, which can report through the same [Problems].
//
// Caveats. A value of [Config] is plain data and is not changed by this
// package after it was returned. TOML gives no position for unknown keys, so
// their lines are looked up by a scanner of its own that knows tables, arrays
// of tables, and dotted and quoted keys.
package config

import (
	"time"

	"github.com/perfopt/perfopt/policies"
)

// Config is the daemon's whole configuration. The zero value is not useful:
// start from [Default].
type Config struct {
	Listen    Listen           `toml:"listen"`
	State     State            `toml:"state"`
	Origin    Origin           `toml:"origin"`
	Proxy     Proxy            `toml:"proxy"`
	Cache     Cache            `toml:"cache"`
	Prefetch  Prefetch         `toml:"prefetch"`
	Scheduler Scheduler        `toml:"scheduler"`
	Policy    Seats            `toml:"policy"`
	Guard     Guard            `toml:"guard"`
	Wasm      Wasm             `toml:"wasm"`
	Caches    map[string]Named `toml:"caches"`
	Routes    []Route          `toml:"route"`
	Log       Log              `toml:"log"`
	Record    Record           `toml:"record"`
}

// Listen says where the daemon listens.
type Listen struct {
	Proxy      string   `toml:"proxy"`       // host:port of the proxy
	Admin      string   `toml:"admin"`       // host:port of the admin API and page
	AdminToken string   `toml:"admin_token"` // "file:PATH" or "env:NAME"; empty: none, loopback only
	AdminHosts []string `toml:"admin_hosts"` // Host names accepted besides loopback ones and the address listened on
}

// State says where the daemon keeps what must survive a restart.
type State struct {
	Dir string `toml:"dir"` // empty: $STATE_DIRECTORY, else the user's state folder
}

// Origin is what the proxy stands in front of.
type Origin struct {
	URL          string   `toml:"url"`           // empty: the built-in demo origin
	Timeout      Duration `toml:"timeout"`       // for a whole answer of the origin
	PreserveHost bool     `toml:"preserve_host"` // true: the origin sees the client's Host; false: its own
}

// Proxy bounds what clients may do.
type Proxy struct {
	TrustedProxies []string `toml:"trusted_proxies"` // addresses or CIDR prefixes whose X-Forwarded-* are believed
	ReadTimeout    Duration `toml:"read_timeout"`    // for reading a whole request
	WriteTimeout   Duration `toml:"write_timeout"`   // for writing a whole answer
	IdleTimeout    Duration `toml:"idle_timeout"`    // for an idle keep-alive connection
	DrainTimeout   Duration `toml:"drain_timeout"`   // for ending what is in flight on SIGTERM
	MaxBody        Size     `toml:"max_body"`        // largest answer that is stored
	ShowKey        bool     `toml:"show_key"`        // Cache-Status carries the key (debugging)
}

// Cache is the default cache.
type Cache struct {
	Capacity    Size     `toml:"capacity"`     // bytes of L1
	MaxEntries  int      `toml:"max_entries"`  // bound on entries; 0: from the capacity
	TTLMin      Duration `toml:"ttl_min"`      // lower bound of a policy's TTL
	TTLMax      Duration `toml:"ttl_max"`      // upper bound of a policy's TTL
	TTLDefault  Duration `toml:"ttl_default"`  // where neither origin nor route says one; 0: not stored without
	AdaptiveTTL bool     `toml:"adaptive_ttl"` // false: the origin's or default TTL as it is, no policy asked
	NamedCaches bool     `toml:"named_caches"` // false: routes and embedders share the default cache's settings
	L2          L2       `toml:"l2"`
}

// L2 is the second tier. Without URL there is none.
type L2 struct {
	URL      string   `toml:"url"`       // redis://, rediss://, redis+sentinel://, rediss+sentinel://, redis+cluster://
	Timeout  Duration `toml:"timeout"`   // the longest that L2 may hold a request
	Prefix   string   `toml:"prefix"`    // of every key in Redis
	MaxValue Size     `toml:"max_value"` // larger values stay in L1
}

// Prefetch bounds the prefetch engine.
type Prefetch struct {
	Enabled  bool     `toml:"enabled"`
	Tick     Duration `toml:"tick"`      // how often the policy is asked
	Budget   int      `toml:"budget"`    // most loads a tick
	MaxShare Ratio    `toml:"max_share"` // most of the last 1,000 origin requests
}

// Scheduler bounds the work in flight.
type Scheduler struct {
	AdaptiveLimit bool     `toml:"adaptive_limit"` // false: initial_limit for ever
	Priorities    bool     `toml:"priorities"`     // false: first come, first served
	InitialLimit  float64  `toml:"initial_limit"`
	MinLimit      float64  `toml:"min_limit"`
	MaxLimit      float64  `toml:"max_limit"`
	TargetLatency Target   `toml:"target_latency"` // "auto" or a duration
	Tick          Duration `toml:"tick"`           // how often the scaling policy is asked
	QueueLength   int      `toml:"queue_length"`   // bound of all queues together
}

// Seats are the policies of a cache and, for the default one, of the scheduler.
type Seats struct {
	Eviction Policy `toml:"eviction"`
	TTL      Policy `toml:"ttl"`
	Prefetch Policy `toml:"prefetch"`
	Scaling  Policy `toml:"scaling"`
}

// Policy says which policy sits in a seat.
type Policy struct {
	Use    string         `toml:"use" json:"use"`                 // builtin:NAME, shipped:NAME, a path to a .wasm, sha256:HEX
	SHA256 string         `toml:"sha256" json:"sha256,omitempty"` // the digest that the module must have
	Config map[string]any `toml:"config" json:"config,omitempty"` // the policy's own settings
}

// Guard says when a policy is put in quarantine.
type Guard struct {
	Faults   int      `toml:"faults"`    // this many faults ...
	Window   Duration `toml:"window"`    // ... within this time, or
	Ratio    Ratio    `toml:"ratio"`     // more than this share of calls ...
	MinCalls int      `toml:"min_calls"` // ... after this many calls
}

// Wasm bounds what a module may use.
type Wasm struct {
	MemoryPages   int  `toml:"memory_pages"`    // pages of 64 KiB a module may have
	GoMemoryPages int  `toml:"go_memory_pages"` // likewise for modules built by the Go toolchain
	MaxModule     Size `toml:"max_module"`      // largest module accepted
	FuelPercent   int  `toml:"fuel_percent"`    // budget of a call in percent of the default
}

// Named is a cache of its own. What is not said is as in the default cache.
type Named struct {
	Capacity   Size     `toml:"capacity"`
	MaxEntries int      `toml:"max_entries"`
	TTLMin     Duration `toml:"ttl_min"`
	TTLMax     Duration `toml:"ttl_max"`
	TTLDefault Duration `toml:"ttl_default"`
	Policy     Seats    `toml:"policy"`
}

// Route is a rule for requests. The first that matches counts.
type Route struct {
	Host          string   `toml:"host"`           // exact host; empty: any
	Path          string   `toml:"path"`           // prefix, or with * and ** a pattern
	Methods       []string `toml:"methods"`        // empty: any
	Cache         string   `toml:"cache"`          // name of the cache; "off": not cached; empty: default
	Priority      string   `toml:"priority"`       // critical, high, normal, low, background
	TrustPriority bool     `toml:"trust_priority"` // the Priority header may raise
	TTLMin        Duration `toml:"ttl_min"`
	TTLMax        Duration `toml:"ttl_max"`
	TTLDefault    Duration `toml:"ttl_default"` // makes answers without freshness storable
	Timeout       Duration `toml:"timeout"`
}

// Log says what is logged and how.
type Log struct {
	Level  string `toml:"level"`  // trace, debug, info, warn, error
	Format string `toml:"format"` // text, json
}

// Record says what is recorded for later replays.
type Record struct {
	Accesses string `toml:"accesses"` // file ending in .oracleGeneral, .oracleGeneral.gz or .oracleGeneral.zst; empty: none
}

// Default returns the configuration of an empty policies.toml.
func Default() Config {
	linear := Policy{Use: "builtin:linear"}
	return Config{
		Listen: Listen{Proxy: "127.0.0.1:8080", Admin: "127.0.0.1:8081"},
		Origin: Origin{Timeout: Duration(30 * time.Second), PreserveHost: true},
		Proxy: Proxy{
			ReadTimeout:  Duration(30 * time.Second),
			WriteTimeout: Duration(5 * time.Minute),
			IdleTimeout:  Duration(time.Minute),
			DrainTimeout: Duration(30 * time.Second),
			MaxBody:      4 << 20,
		},
		Cache: Cache{
			Capacity:    256 << 20,
			TTLMin:      Duration(time.Second),
			TTLMax:      Duration(24 * time.Hour),
			AdaptiveTTL: true,
			NamedCaches: true,
			L2:          L2{Timeout: Duration(50 * time.Millisecond), Prefix: "perfopt:", MaxValue: 1 << 20},
		},
		Prefetch: Prefetch{Enabled: true, Tick: Duration(200 * time.Millisecond), Budget: 8, MaxShare: 0.05},
		Scheduler: Scheduler{
			AdaptiveLimit: true,
			Priorities:    true,
			InitialLimit:  10,
			MinLimit:      4,
			MaxLimit:      1000,
			Tick:          Duration(100 * time.Millisecond),
			QueueLength:   1000,
		},
		Policy: Seats{Eviction: linear, TTL: linear, Prefetch: linear, Scaling: linear},
		Guard:  Guard{Faults: 3, Window: Duration(time.Minute), Ratio: 0.001, MinCalls: 10000},
		Wasm:   Wasm{MemoryPages: 256, GoMemoryPages: 1024, MaxModule: 4 << 20, FuelPercent: 100},
		Log:    Log{Level: "info", Format: "text"},
	}
}

// Of returns the policy of a kind.
func (s Seats) Of(kind policies.Kind) Policy {
	switch kind {
	case policies.KindEviction:
		return s.Eviction
	case policies.KindTTL:
		return s.TTL
	case policies.KindPrefetch:
		return s.Prefetch
	default:
		return s.Scaling
	}
}

// Resolved returns the settings of a named cache with everything that it does
// not say taken from the default cache. Without an entry of that name, or with
// named caches switched off, it is the default cache's.
func (c Config) Resolved(name string) Named {
	n := Named{
		Capacity: c.Cache.Capacity, MaxEntries: c.Cache.MaxEntries,
		TTLMin: c.Cache.TTLMin, TTLMax: c.Cache.TTLMax, TTLDefault: c.Cache.TTLDefault,
		Policy: c.Policy,
	}
	own, ok := c.Caches[name]
	if !ok || !c.Cache.NamedCaches {
		return n
	}
	override(&n.Capacity, own.Capacity)
	override(&n.MaxEntries, own.MaxEntries)
	override(&n.TTLMin, own.TTLMin)
	override(&n.TTLMax, own.TTLMax)
	override(&n.TTLDefault, own.TTLDefault)
	for _, p := range []struct{ to, own *Policy }{
		{&n.Policy.Eviction, &own.Policy.Eviction}, {&n.Policy.TTL, &own.Policy.TTL}, {&n.Policy.Prefetch, &own.Policy.Prefetch},
	} {
		if p.own.Use != "" {
			*p.to = *p.own
		}
	}
	return n
}

func override[T comparable](to *T, own T) {
	var zero T
	if own != zero {
		*to = own
	}
}
