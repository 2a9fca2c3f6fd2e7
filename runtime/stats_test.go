package perfopt

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestTrafficMovesEveryNumber is the check that no number of /v1/stats and of
// /metrics is for show: each is seen to change under traffic made to change it.
func TestTrafficMovesEveryNumber(t *testing.T) {
	w := newWitness()
	t.Run("scenes", func(t *testing.T) {
		for name, scene := range map[string]func(*testing.T, *witness){
			"web": webScene, "turned away": turnedAwayScene, "two tiers": twoTiersScene,
			"embedded": embeddedScene, "prefetch": prefetchScene, "overload": overloadScene,
			"faults": faultScene, "eviction faults": evictionFaultScene, "prefetch faults": prefetchFaultScene,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				scene(t, w)
			})
		}
	})
	if t.Failed() {
		return
	}
	w.check(t, statsSettings, statsStill)
	for _, family := range metricFamilies {
		if w.seen["/metrics perfopt_"+family] == nil {
			t.Errorf("/metrics has no sample of perfopt_%s", family)
		}
	}
}

// statsSettings are what the configuration says: they differ between runtimes.
var statsSettings = []string{
	"caches.*.l1.capacity_bytes", "caches.*.l1.max_entries", "caches.*.patterns.capacity", "caches.*.prefetch.max_share",
	"caches.*.patterns.curve[*].capacity", "scheduler.min_limit", "scheduler.max_limit", "scheduler.adaptive",
	"/metrics perfopt_cache_capacity_bytes",
}

// statsStill are numbers that need not move here, and why.
var statsStill = map[string]string{
	"scheduler.throttled":                           "the system decides whether this process is throttled",
	"scheduler.faults":                              "the guard in front of the scheduler answers for the policy and counts: seats[*].faults",
	"seats[*].faults_by_reason.state":               "nothing asks a policy for its state",
	"caches.*.prefetch.min_accuracy":                "the break-even has no setting",
	"caches.*.prediction.horizon_seconds":           "the horizon has no setting",
	"caches.*.prediction.calibration[*].low":        "the bounds of the bins are fixed",
	"caches.*.prediction.calibration[*].high":       "the bounds of the bins are fixed",
	"caches.*.patterns.working_set[60].seconds":     "the windows are fixed",
	"caches.*.patterns.working_set[600].seconds":    "the windows are fixed",
	"caches.*.patterns.working_set[3600].seconds":   "the windows are fixed",
	"caches.*.patterns.reuse_distances[*].distance": "the steps of the histogram are fixed",
	"/metrics perfopt_info":                         "the information is in the labels",
	"/metrics perfopt_policy_info":                  "the information is in the labels",
	"/metrics perfopt_limit_reason":                 "the information is in the labels",
	"/metrics perfopt_metrics_dropped_total":        "moves when a name or label is malformed: a bug",
}

// metricFamilies are what /metrics promises, without perfopt_.
var metricFamilies = []string{
	"info", "uptime_seconds", "cache_hits_total", "cache_misses_total", "cache_hit_ratio", "cache_requests_per_second",
	"cache_bytes", "cache_capacity_bytes", "cache_entries", "cache_recorded_share", "cache_coalesced_total", "cache_stale_total",
	"cache_refused_total", "cache_evictions_total", "cache_loads_total", "cache_load_errors_total", "cache_load_seconds",
	"cache_policy_swaps_total", "l2_errors_total", "l2_corrupt_total", "l2_skipped_total", "l2_pending", "l2_up",
	"prefetch_issued_total", "prefetch_useful_total", "prefetch_wasted_total", "prefetch_accuracy", "prefetch_share",
	"prediction_brier", "prediction_skill", "prediction_calibration_error", "cache_marginal_hits_per_mib",
	"cache_recommended_capacity_bytes", "pattern_zipf_exponent", "pattern_working_set_keys", "pattern_class_keys",
	"pattern_one_hit_ratio", "limit", "limit_reason", "in_flight", "utilization", "throughput_per_second", "arrivals_per_second",
	"error_ratio", "cpu_ratio", "memory_ratio", "tasks_per_cpu_second", "tasks_per_gib", "task_seconds", "queue_seconds",
	"queue_length", "rejected_total", "tasks_total", "proxy_requests_total", "proxy_bytes_total", "origin_requests_total",
	"origin_errors_total", "request_seconds", "route_requests_total", "route_request_seconds", "policy_info", "policy_calls_total",
	"policy_faults_total", "policy_call_seconds", "policy_fuel_total", "policy_quarantined", "policy_metric",
	"stability_latency_cv", "stability_throughput_cv", "metrics_dropped_total",
}

// behind starts a runtime whose origin is handler.
func behind(t *testing.T, toml string, handler http.HandlerFunc) *system {
	t.Helper()
	origin := httptest.NewServer(handler)
	t.Cleanup(origin.Close)
	return start(t, toml+"\n[origin]\nurl = \""+origin.URL+"\"\n")
}

// webOrigin answers by the first part of the path. What is sent to held is
// taken by requests for /held.
func webOrigin(held chan struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		kind, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		size := 100
		fresh := "max-age=100"
		switch kind {
		case "held":
			select {
			case <-held:
			case <-r.Context().Done():
			}
		case "impatient":
			<-r.Context().Done()
			return
		case "short", "hot":
			fresh = "max-age=2"
		case "tagged":
			fresh = "max-age=1"
			w.Header().Set("ETag", `"1"`)
			if r.Header.Get("If-None-Match") != "" {
				w.Header().Set("Cache-Control", fresh)
				w.WriteHeader(http.StatusNotModified)
				return
			}
		case "private":
			fresh = "private"
		case "cut":
			panic(http.ErrAbortHandler)
		case "broken":
			w.WriteHeader(http.StatusInternalServerError)
		case "wide":
			size = 8 << 10
		case "huge":
			size = 1 << 20
		}
		w.Header().Set("Cache-Control", fresh)
		w.Header().Set("Content-Length", fmt.Sprint(size))
		w.Write(make([]byte, size))
	}
}

// webScene is a proxy with two caches, a module in the eviction seat and
// prefetch, under clients of all sorts for some seconds.
func webScene(t *testing.T, w *witness) {
	held := make(chan struct{})
	s := behind(t, `
[cache]
capacity = "256KiB"
[scheduler]
tick = "10ms"
[prefetch]
tick = "20ms"
max_share = "50%"
[policy.eviction]
use = "shipped:lru-c"
[caches.docs]
capacity = "128KiB"
max_entries = 100
[[route]]
path = "/docs/"
cache = "docs"
[[route]]
path = "/impatient"
timeout = "50ms"
`, webOrigin(held))
	look := func() { w.look(t, t.Name(), s.rt) }
	get := func(path string) answer { return s.get(path) }
	look()

	for i := range 60 {
		get(fmt.Sprintf("/plain/%d", i%10))
		get(fmt.Sprintf("/docs/%d", i%20))
		get(fmt.Sprintf("/private/%d", i))
	}
	get("/tagged/1")
	get("/short/1")
	for _, path := range []string{"/cut", "/broken", "/impatient", "/huge", "/huge"} {
		get(path)
	}
	s.do("POST", "http://"+s.rt.ProxyAddr()+"/plain/1", "content")
	look()

	var together sync.WaitGroup
	for range 3 {
		together.Go(func() { get("/held") })
	}
	eventually(t, "a task is in flight", func() bool { return s.rt.scheduler.Stats().InFlight > 0 })
	look()
	close(held)
	together.Wait()
	abort(s, "/wide/aborted")

	for i := range 100 {
		get(fmt.Sprintf("/wide/%d", i))
	}
	if got := s.admin("POST", "/v1/cache/purge", `{"key": "`+s.topKey()+`"}`, "Content-Type", "application/json"); got.status != 200 {
		t.Errorf("purge: %s", got.body)
	}
	look()

	// A hot key goes on being asked for past its freshness, for as long as the
	// series needs to have two halves.
	hot, done := time.NewTicker(10*time.Millisecond), time.After(5*time.Second)
	defer hot.Stop()
	for n := 0; ; n++ {
		select {
		case <-hot.C:
			get("/hot/1")
			if n%50 == 0 {
				look()
				get("/tagged/1")
			}
			continue
		case <-done:
		}
		break
	}
	if got := s.rt.Stats().Caches["default"].Prefetch; got.Issued == 0 {
		t.Errorf("nothing was prefetched: %+v", got)
	}
	look()
}

// topKey returns the text of a resident's key.
func (s *system) topKey() string {
	s.Helper()
	c, err := (engine{s.rt}).cache("")
	if err != nil {
		s.Fatal(err)
	}
	for _, e := range c.Top(1) {
		return e.Key
	}
	s.Fatal("the cache is empty")
	return ""
}

// abort asks for a path and goes away at the first byte of the answer.
func abort(s *system, path string) {
	s.Helper()
	before := s.rt.Stats().Proxy.Aborted
	eventually(s.T, "an answer was cut off", func() bool {
		conn, err := net.Dial("tcp", s.rt.ProxyAddr())
		if err != nil {
			s.Fatal(err)
		}
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
		return s.rt.Stats().Proxy.Aborted > before
	})
}

// turnedAwayScene is a proxy whose scheduler has no permit to give.
func turnedAwayScene(t *testing.T, w *witness) {
	s := behind(t, oneOrNothing, webOrigin(nil))
	w.look(t, t.Name(), s.rt)
	hold, err := s.rt.scheduler.Acquire(t.Context(), Normal)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if got := s.get(fmt.Sprintf("/plain/%d", i)); got.status != 503 || got.header.Get("Retry-After") == "" {
			t.Errorf("status %d, Retry-After %q", got.status, got.header.Get("Retry-After"))
		}
	}
	w.look(t, t.Name(), s.rt)
	hold.Release(0)
	if got := s.get("/plain/1"); got.status != 200 {
		t.Errorf("status %d once there is a permit again", got.status)
	}
	w.look(t, t.Name(), s.rt)
}

const oneOrNothing = "[scheduler]\nmin_limit = 1\ninitial_limit = 1\nmax_limit = 1\nqueue_length = 0\nadaptive_limit = false\n"

// embed builds a runtime that listens nowhere, with a cache of strings, until
// the end of the test.
func embed(t *testing.T, change func(*Config), load func(context.Context, string) (string, error)) (*Runtime, *Cache[string, string]) {
	t.Helper()
	cfg := DefaultConfig()
	if change != nil {
		change(&cfg)
	}
	rt, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(t, rt) })
	c, err := CacheOf(rt, "texts", String(), load)
	if err != nil {
		t.Fatal(err)
	}
	return rt, c
}

// end shuts a runtime down.
func end(t *testing.T, rt *Runtime) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := rt.Shutdown(ctx); err != nil {
		t.Errorf("shutdown: %v", err)
	}
}
