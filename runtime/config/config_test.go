package config

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestShippedFileIsTheDefault(t *testing.T) {
	text, err := os.ReadFile("../../policies.toml")
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := Parse("policies.toml", string(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []*Policy{&cfg.Policy.Eviction, &cfg.Policy.TTL, &cfg.Policy.Prefetch, &cfg.Policy.Scaling} {
		if len(p.Config) == 0 {
			p.Config = nil
		}
	}
	cfg.Listen.AdminHosts, cfg.Proxy.TrustedProxies = nil, nil
	if want := Default(); !reflect.DeepEqual(cfg, want) {
		t.Errorf("policies.toml says\n%+v\nthe default is\n%+v", cfg, want)
	}
}

func TestShippedFileShowsEveryKey(t *testing.T) {
	text, err := os.ReadFile("../../policies.toml")
	if err != nil {
		t.Fatal(err)
	}
	uncommented := strings.NewReplacer("# [", "[", "# sha256", "sha256").Replace(string(text))
	for _, key := range []string{"capacity", "max_entries", "ttl_min", "ttl_max", "ttl_default", "use", "config",
		"host", "path", "methods", "cache", "priority", "trust_priority", "timeout"} {
		uncommented = strings.ReplaceAll(uncommented, "# "+key+" =", key+" =")
	}
	lines := indexLines(uncommented)
	for _, key := range Keys() {
		if key == "caches.*.policy.scaling.use" || key == "caches.*.policy.scaling.sha256" || key == "caches.*.policy.scaling.config" {
			continue // refused: the scheduler is one
		}
		shown := strings.NewReplacer("caches.*", "caches.docs", "route.*", "route[0]").Replace(key)
		if lines[shown] == 0 {
			t.Errorf("policies.toml does not show %s", key)
		}
	}
}

func TestProblemsHaveLineKeyAndSuggestion(t *testing.T) {
	const text = `[listen]
proxi = "127.0.0.1:1"
admin = "0.0.0.0:8081"

[cache]
capacity = "lots"
ttl_min = "5m"
ttl_max = "1m"

[cache.l2]
timeout = "soon"

[schedular]
tick = "1s"

[scheduler]
initial_limit = "ten"

[policy.eviction]
use = "lru"

[[route]]
path = "a"
[[route]]
path = "/"
cache = "nowhere"
prioritty = "high"
`
	_, err := Parse("p.toml", text)
	if err == nil {
		t.Fatal("no error")
	}
	got := err.Error()
	for _, want := range []string{
		`p.toml:2: listen.proxi: unknown key: did you mean "proxy"?`,
		`p.toml:3: listen.admin: "0.0.0.0:8081" is reachable from other machines`,
		`p.toml:6: cache.capacity: "lots" is not a size`,
		`p.toml:8: cache.ttl_max: 1m0s is less than ttl_min, 5m0s`,
		`p.toml:11: cache.l2.timeout: "soon" is not a duration`,
		`p.toml:13: schedular: unknown key: did you mean "scheduler"?`,
		`p.toml:17: scheduler.initial_limit: incompatible types`,
		`p.toml:20: policy.eviction.use: "lru": want builtin:NAME`,
		`p.toml:23: route[0].path: "a" does not begin with /`,
		`p.toml:26: route[1].cache: there is no [caches.nowhere]`,
		`p.toml:27: route.prioritty: unknown key: did you mean "priority"?`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("missing %q", want)
		}
	}
	if t.Failed() {
		t.Logf("got:\n%s", got)
	}
}

func TestSyntaxErrorHasLine(t *testing.T) {
	_, err := Parse("p.toml", "[cache]\ncapacity = \n")
	if err == nil || !strings.HasPrefix(err.Error(), "p.toml:2: ") {
		t.Errorf("got %v", err)
	}
}

func TestEnvironmentWinsOverFile(t *testing.T) {
	path := t.TempDir() + "/p.toml"
	if err := os.WriteFile(path, []byte("[cache]\ncapacity = \"1MiB\"\nttl_min = \"3s\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := Load(path, []string{
		"PERFOPT_CACHE_CAPACITY=2MiB", "PERFOPT_SCHEDULER_INITIAL_LIMIT=12.5", "PERFOPT_PREFETCH_ENABLED=false",
		"PERFOPT_PROXY_TRUSTED_PROXIES=10.0.0.0/8, 127.0.0.1", "PERFOPT_POLICY_EVICTION_CONFIG={strict=true}",
		"PERFOPT_SCHEDULER_TARGET_LATENCY=200ms", "PERFOPT_TRACES=/nowhere",
	})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Cache.Capacity != 2<<20 || cfg.Cache.TTLMin.Std() != 3*time.Second || cfg.Scheduler.InitialLimit != 12.5 ||
		cfg.Prefetch.Enabled || len(cfg.Proxy.TrustedProxies) != 2 || cfg.Policy.Eviction.Config["strict"] != true ||
		cfg.Scheduler.TargetLatency.Std() != 200*time.Millisecond {
		t.Errorf("got %+v", cfg)
	}
	_, err = Load(path, []string{"PERFOPT_CACHE_CAPACITY=much"})
	if err == nil || !strings.Contains(err.Error(), "PERFOPT_CACHE_CAPACITY: cache.capacity: \"much\" is not a size") {
		t.Errorf("got %v", err)
	}
}

func TestEveryScalarKeyCanBeSet(t *testing.T) {
	for _, f := range schema() {
		if f.index == nil {
			continue
		}
		cfg := Default()
		value := map[reflect.Kind]string{reflect.Bool: "false", reflect.Int: "7", reflect.Float64: "7", reflect.String: "x", reflect.Slice: "x", reflect.Map: "{a=1}"}[f.typ.Kind()]
		if isValue(f.typ) {
			value = map[string]string{"Duration": "7s", "Size": "7MiB", "Ratio": "7%", "Target": "7s"}[f.typ.Name()]
		}
		if err := cfg.Set(f.path, value); err != nil {
			t.Errorf("%s = %s: %v", f.path, value, err)
		}
	}
}

func TestResolvedFillsFromDefaultCache(t *testing.T) {
	cfg, err := Parse("p", "[caches.docs]\ncapacity = \"1MiB\"\n[caches.docs.policy.eviction]\nuse = \"builtin:lru\"\n")
	if err != nil {
		t.Fatal(err)
	}
	n := cfg.Resolved("docs")
	if n.Capacity != 1<<20 || n.TTLMax != cfg.Cache.TTLMax || n.Policy.Eviction.Use != "builtin:lru" || n.Policy.TTL.Use != "builtin:linear" {
		t.Errorf("got %+v", n)
	}
	cfg.Cache.NamedCaches = false
	if n := cfg.Resolved("docs"); n.Capacity != cfg.Cache.Capacity {
		t.Errorf("with named caches off: %+v", n)
	}
}

func TestSizesAndRatios(t *testing.T) {
	for _, c := range []struct {
		in   string
		want Size
	}{{"64MiB", 64 << 20}, {"1GB", 1e9}, {"1.5KiB", 1536}, {"7B", 7}, {"2 kB", 2000}} {
		var s Size
		if err := s.UnmarshalText([]byte(c.in)); err != nil || s != c.want {
			t.Errorf("%q: %d, %v", c.in, s, err)
		}
	}
	for _, bad := range []string{"", "1", "-1MiB", "NaNMiB", "MiB", "9999999TiB", "1e400B"} {
		var s Size
		if err := s.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q was accepted as %d", bad, s)
		}
	}
	var r Ratio
	if err := r.UnmarshalText([]byte("5%")); err != nil || r != 0.05 {
		t.Errorf("5%%: %v, %v", r, err)
	}
	for _, bad := range []string{"101%", "-1%", "x", "NaN", "1.01"} {
		if err := r.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func FuzzParse(f *testing.F) {
	text, err := os.ReadFile("../../policies.toml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	f.Add("[[route]]\npath=\"/\"\n[caches.a]\nq=1\n")
	f.Add("a.\"b.c\" = '''\nx\n'''\n[x")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4096 {
			return
		}
		cfg, err := Parse("f", text)
		if err == nil {
			if err := cfg.Validate(); err != nil {
				t.Errorf("parsed but not valid: %v", err)
			}
		}
	})
}
