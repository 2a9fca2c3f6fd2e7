package perfopt

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/perfopt/perfopt/runtime/config"
	"github.com/perfopt/perfopt/scheduler"
)

// keyCase shows that one key of policies.toml has an effect: what is observed
// with base differs from what is observed with base and line.
type keyCase struct {
	base    string                 // settings that both have
	line    string                 // the setting under test
	observe func(s *system) string // what can be seen from outside
	refused bool                   // with line it does not start, and says why
}

// TestEveryKeyHasAnEffect fails for a key without case: an option that nothing
// reads is a bug.
func TestEveryKeyHasAnEffect(t *testing.T) {
	cases := keyCases(t)
	for _, key := range config.Keys() {
		if strings.HasPrefix(key, "caches.*.policy.scaling.") {
			continue // refused: the scheduler is one
		}
		if _, ok := cases[key]; !ok {
			t.Errorf("no case for %s", key)
		}
	}
	for key, c := range cases {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			if c.observe == nil {
				t.Skip("skipped: needs redis-server on PATH (apt-get install redis-server)")
			}
			without := c.observe(start(t, c.base))
			if c.refused {
				_, err := tryStart(t, c.base+"\n"+c.line, t.TempDir())
				if err == nil {
					t.Errorf("it starts with %s", c.line)
				}
				return
			}
			with := c.observe(start(t, c.base+"\n"+c.line))
			if with == without {
				t.Errorf("%s changes nothing: %q", c.line, with)
			}
		})
	}
}

// status asks for a path n times and returns the last Cache-Status.
func status(path string, n int) func(*system) string {
	return func(s *system) string {
		got := ""
		for range n {
			got = s.get(path).cacheStatus()
		}
		return got
	}
}

func header(path, field string, fields ...string) func(*system) string {
	return func(s *system) string { return s.get(path, fields...).header.Get(field) }
}

func code(path string) func(*system) string {
	return func(s *system) string { return fmt.Sprint(s.get(path).status) }
}

// policyOf returns name and digest of a seat.
func policyOf(seat string) func(*system) string {
	return func(s *system) string { d := s.seatStats(seat); return d.Name + d.Digest }
}

// settingsOf returns the settings that a seat's policy was given.
func settingsOf(seat string) func(*system) string {
	return func(s *system) string {
		e, _ := s.rt.journal.Current(seat)
		return string(e.Config)
	}
}

const shippedDigest = "0000000000000000000000000000000000000000000000000000000000000000"

func keyCases(t *testing.T) map[string]keyCase {
	other := newOrigin(t, "other")
	recording := t.TempDir() + "/a.oracleGeneral"
	fixed := "[policy.ttl]\nuse = \"builtin:fixed\"\nconfig = { ttl = \"20s\" }\n"
	ttlOf := func(s *system) string { return s.get("/a").cacheStatus() }
	cases := map[string]keyCase{
		"listen.proxy": {line: "[listen]\nproxy = \"127.0.0.2:0\"", observe: func(s *system) string { return hostOf(s.rt.ProxyAddr()) }},
		"listen.admin": {line: "[listen]\nadmin = \"127.0.0.2:0\"", observe: func(s *system) string { return hostOf(s.rt.AdminAddr()) }},
		"listen.admin_token": {line: "[listen]\nadmin_token = \"env:PATH\"", observe: func(s *system) string {
			return fmt.Sprint(s.admin("GET", "/v1/policies", "").status)
		}},
		"listen.admin_hosts": {line: "[listen]\nadmin_hosts = [\"admin.test\"]", observe: func(s *system) string {
			return fmt.Sprint(s.admin("GET", "/v1/policies", "", "Host", "admin.test").status)
		}},
		"state.dir": {line: "[state]\ndir = \"" + t.TempDir() + "\"", observe: func(s *system) string {
			_, err := os.Stat(s.dir + "/journal.jsonl")
			return fmt.Sprint(err == nil)
		}},
		"origin.url":     {line: "[origin]\nurl = \"" + other.URL + "\"", observe: header("/a", "X-Origin")},
		"origin.timeout": {line: "[origin]\ntimeout = \"50ms\"", observe: code("/slow")},
		"origin.preserve_host": {line: "[origin]\npreserve_host = false", observe: func(s *system) string {
			return s.get("/a", "Host", "site.test").header.Get("X-Host")
		}},
		"proxy.trusted_proxies": {line: "[proxy]\ntrusted_proxies = [\"127.0.0.0/8\"]", observe: header("/a", "X-For", "X-Forwarded-For", "10.1.1.1")},
		"proxy.read_timeout":    {line: "[proxy]\nread_timeout = \"50ms\"", observe: slowRequest},
		"proxy.write_timeout":   {line: "[proxy]\nwrite_timeout = \"50ms\"", observe: slowReader},
		"proxy.idle_timeout":    {line: "[proxy]\nidle_timeout = \"50ms\"", observe: idleConnection},
		"proxy.drain_timeout":   {line: "[proxy]\ndrain_timeout = \"20ms\"", observe: drainOfHeldRequest},
		"proxy.max_body":        {line: "[proxy]\nmax_body = \"1KiB\"", observe: func(s *system) string { return fmt.Sprint(strings.Contains(status("/large", 2)(s), "hit")) }},
		"proxy.show_key":        {line: "[proxy]\nshow_key = true", observe: func(s *system) string { return fmt.Sprint(strings.Contains(s.get("/a").cacheStatus(), "key=")) }},

		"cache.capacity": {line: "[cache]\ncapacity = \"128KiB\"", observe: func(s *system) string {
			for i := range 20 {
				s.get(fmt.Sprintf("/large/%d", i))
			}
			return fmt.Sprint(s.rt.Stats().Caches["default"].L1.Bytes > 128<<10)
		}},
		"cache.max_entries": {line: "[cache]\nmax_entries = 3", observe: func(s *system) string {
			for i := range 10 {
				s.get(fmt.Sprintf("/%d", i))
			}
			return fmt.Sprint(s.rt.Stats().Caches["default"].L1.Entries)
		}},
		"cache.ttl_min":      {base: fixed, line: "[cache]\nttl_min = \"50s\"", observe: ttlOf},
		"cache.ttl_max":      {base: fixed, line: "[cache]\nttl_max = \"9s\"", observe: ttlOf},
		"cache.ttl_default":  {line: "[cache]\nttl_default = \"60s\"", observe: status("/plain", 2)},
		"cache.adaptive_ttl": {base: fixed, line: "[cache]\nadaptive_ttl = false", observe: ttlOf},
		"cache.named_caches": {base: "[caches.docs]\ncapacity = \"1MiB\"\n[[route]]\ncache = \"docs\"\n", line: "[cache]\nnamed_caches = false", observe: func(s *system) string {
			return fmt.Sprint(len(s.rt.Stats().Caches))
		}},

		"prefetch.enabled":   {line: "[prefetch]\nenabled = false", observe: func(s *system) string { return fmt.Sprint(s.rt.Stats().Caches["default"].Prefetch == nil) }},
		"prefetch.max_share": {line: "[prefetch]\nmax_share = \"10%\"", observe: func(s *system) string { return fmt.Sprint(s.rt.Stats().Caches["default"].Prefetch.MaxShare) }},

		"scheduler.adaptive_limit": {base: "[policy.scaling]\nuse = \"builtin:fixed\"\nconfig = { limit = 12 }\n", line: "[scheduler]\nadaptive_limit = false", observe: func(s *system) string {
			return fmt.Sprint(within(time.Second, func() bool { return s.rt.Stats().Scheduler.Limit == 12 }))
		}},
		"scheduler.priorities":     {base: "[scheduler]\nmin_limit = 1\ninitial_limit = 1\nmax_limit = 1\n", line: "priorities = false", observe: firstServed},
		"scheduler.initial_limit":  {base: "[scheduler]\ntick = \"1m\"\n", line: "initial_limit = 17", observe: func(s *system) string { return fmt.Sprint(s.rt.Stats().Scheduler.Limit) }},
		"scheduler.min_limit":      {line: "[scheduler]\nmin_limit = 6", observe: func(s *system) string { return fmt.Sprint(s.rt.Stats().Scheduler.MinLimit) }},
		"scheduler.max_limit":      {line: "[scheduler]\nmax_limit = 60", observe: func(s *system) string { return fmt.Sprint(s.rt.Stats().Scheduler.MaxLimit) }},
		"scheduler.target_latency": {line: "[scheduler]\ntarget_latency = \"250ms\"", observe: func(s *system) string { return fmt.Sprint(s.rt.Stats().Scheduler.TargetMillis) }},
		"scheduler.tick": {base: "[scheduler]\n", line: "tick = \"1m\"", observe: func(s *system) string {
			return fmt.Sprint(within(time.Second, func() bool { return s.seatStats("scaling").Calls > 1 }))
		}},
		"scheduler.queue_length": {base: "[scheduler]\nmin_limit = 1\ninitial_limit = 1\nmax_limit = 1\n", line: "queue_length = 0", observe: secondOfTwo},

		"policy.eviction.use":    {line: "[policy.eviction]\nuse = \"builtin:lru\"", observe: policyOf("eviction")},
		"policy.eviction.config": {line: "[policy.eviction]\nconfig = { sample = 4 }", observe: settingsOf("eviction")},
		"policy.eviction.sha256": {base: "[policy.eviction]\nuse = \"shipped:lru-c\"\n", line: "sha256 = \"" + shippedDigest + "\"", observe: policyOf("eviction"), refused: true},
		"policy.ttl.use":         {line: "[policy.ttl]\nuse = \"builtin:fixed\"", observe: policyOf("ttl")},
		"policy.ttl.config":      {base: "[policy.ttl]\nuse = \"builtin:fixed\"\n", line: "config = { ttl = \"7s\" }", observe: ttlOf},
		"policy.ttl.sha256":      {base: "[policy.ttl]\nuse = \"" + testdata(t, "ttl-seven") + "\"\n", line: "sha256 = \"" + shippedDigest + "\"", observe: policyOf("ttl"), refused: true},
		"policy.prefetch.use":    {line: "[policy.prefetch]\nuse = \"builtin:association\"", observe: policyOf("prefetch")},
		"policy.prefetch.config": {line: "[policy.prefetch]\nconfig = { threshold = 0.9 }", observe: settingsOf("prefetch")},
		"policy.prefetch.sha256": {base: "[policy.prefetch]\nuse = \"" + testdata(t, "prefetch-first") + "\"\n", line: "sha256 = \"" + shippedDigest + "\"", observe: policyOf("prefetch"), refused: true},
		"policy.scaling.use":     {line: "[policy.scaling]\nuse = \"builtin:aimd\"", observe: policyOf("scaling")},
		"policy.scaling.config": {base: "[policy.scaling]\nuse = \"builtin:fixed\"\n", line: "config = { limit = 13 }", observe: func(s *system) string {
			return fmt.Sprint(within(time.Second, func() bool { return s.rt.Stats().Scheduler.Limit == 13 }))
		}},
		"policy.scaling.sha256": {base: "[policy.scaling]\nuse = \"" + testdata(t, "scale-up") + "\"\n", line: "sha256 = \"" + shippedDigest + "\"", observe: policyOf("scaling"), refused: true},

		"guard.faults":    {line: "[guard]\nfaults = 1", observe: faultsToQuarantine},
		"guard.window":    {line: "[guard]\nwindow = \"1ns\"", observe: faultsToQuarantine},
		"guard.min_calls": {base: "[guard]\nfaults = 1000000\nratio = \"0.01%\"\n", line: "min_calls = 1", observe: faultsToQuarantine},
		"guard.ratio":     {base: "[guard]\nfaults = 1000000\nmin_calls = 1\n", line: "ratio = \"0.01%\"", observe: faultsToQuarantine},

		"wasm.memory_pages":    {line: "[wasm]\nmemory_pages = 1", observe: pushStatus("ttl", "../hostabi/testdata/ttl-base.wasm")},
		"wasm.go_memory_pages": {line: "[wasm]\ngo_memory_pages = 128", observe: goGuestMemory},
		"wasm.max_module":      {line: "[wasm]\nmax_module = \"1KiB\"", observe: pushStatus("eviction", lruModule)},
		"wasm.fuel_percent":    {line: "[wasm]\nfuel_percent = 1", observe: pushStatus("eviction", lruModule)},

		"log.level":  {line: "[log]\nlevel = \"debug\"", observe: func(s *system) string { return fmt.Sprint(strings.Contains(s.log.String(), "[DEBUG]")) }},
		"log.format": {base: "[log]\nlevel = \"debug\"\n", line: "format = \"json\"", observe: func(s *system) string { return fmt.Sprint(strings.HasPrefix(s.log.String(), "{")) }},
		"record.accesses": {line: "[record]\naccesses = \"" + recording + "\"", observe: func(s *system) string {
			s.get("/a")
			s.get("/a")
			if err := s.rt.Shutdown(context.Background()); err != nil {
				s.Error(err)
			}
			info, err := os.Stat(recording)
			return fmt.Sprint(err == nil && info.Size() > 0)
		}},
	}
	for key, c := range routeCases() {
		cases[key] = c
	}
	for key, c := range namedCases(t) {
		cases[key] = c
	}
	for key, c := range redisCases(t) {
		cases[key] = c
	}
	for key, c := range prefetchCases() {
		cases[key] = c
	}
	return cases
}

func hostOf(addr string) string {
	host, _, _ := net.SplitHostPort(addr)
	return host
}

func testdata(t *testing.T, name string) string {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir + "/../hostabi/testdata/" + name + ".wasm"
}

func pushStatus(seat, file string) func(*system) string {
	return func(s *system) string {
		return fmt.Sprint(s.admin("PUT", "/v1/policies/"+seat, string(module(s.T, file)), "Content-Type", "application/wasm").status)
	}
}

// goGuestMemory pushes a module that looks like a Go guest and wants 200 pages.
func goGuestMemory(s *system) string { return pushStatus("ttl", "testdata/wasi-200-pages.wasm")(s) }

// faultsToQuarantine seats a policy that loops from its 2,000th call on, and
// returns why it was put in quarantine, if it was.
func faultsToQuarantine(s *system) string {
	load := func(context.Context, string) (string, error) { return "", nil }
	c, err := CacheOf(s.rt, "probe", String(), load)
	if err != nil {
		s.Fatal(err)
	}
	if err := s.rt.SwapModule(s.Context(), "ttl@probe", module(s.T, "../hostabi/testdata/ttl-late.wasm"), nil); err != nil {
		s.Fatal(err)
	}
	// A fresh instance is good for 2,000 calls again.
	for i := range 20000 {
		c.Set(fmt.Sprint(i), "")
	}
	within(time.Second, func() bool { return s.seatStats("ttl@probe").Source == "quarantine" })
	e, _ := s.rt.journal.Current("ttl@probe")
	return e.Why
}

// slowRequest sends half of a request's content, waits, and sends the rest.
func slowRequest(s *system) string {
	conn, err := net.Dial("tcp", s.rt.ProxyAddr())
	if err != nil {
		s.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345")
	pause(300 * time.Millisecond)
	fmt.Fprint(conn, "67890")
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "cut off"
	}
	r.Body.Close()
	return fmt.Sprint(r.StatusCode)
}

// pause lets real time pass where real time is what is tested.
func pause(d time.Duration) {
	<-time.After(d)
}

// slowReader reads nothing of an endless answer for a while.
func slowReader(s *system) string {
	conn, err := net.Dial("tcp", s.rt.ProxyAddr())
	if err != nil {
		s.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /endless HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	pause(500 * time.Millisecond)
	n, _ := io.Copy(io.Discard, conn)
	return fmt.Sprint(n > 256<<20)
}

// idleConnection asks twice on one connection with a pause between.
func idleConnection(s *system) string {
	conn, err := net.Dial("tcp", s.rt.ProxyAddr())
	if err != nil {
		s.Fatal(err)
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	for i := range 2 {
		fmt.Fprint(conn, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
		r, err := http.ReadResponse(answers, nil)
		if err != nil {
			return fmt.Sprint("closed before ", i)
		}
		io.Copy(io.Discard, r.Body)
		r.Body.Close()
		pause(300 * time.Millisecond)
	}
	return "kept"
}

// drainOfHeldRequest shuts down while the origin holds a request, and says
// whether the request was answered.
func drainOfHeldRequest(s *system) string {
	result := make(chan string, 1)
	go func() {
		r, err := client.Get("http://" + s.rt.ProxyAddr() + "/slow")
		if err != nil {
			result <- "cut off"
			return
		}
		r.Body.Close()
		result <- fmt.Sprint(r.StatusCode)
	}()
	eventually(s.T, "the origin has the request", func() bool { return s.origin.requests.Load() == 1 })
	s.cut = s.rt.Shutdown(context.Background()) != nil
	return <-result
}

// firstServed holds the only permit, lets a low and then a high task wait, and
// says which ran first.
func firstServed(s *system) string {
	hold, err := s.rt.scheduler.Acquire(s.Context(), scheduler.Normal)
	if err != nil {
		s.Fatal(err)
	}
	order := make(chan string, 2)
	for i, p := range []scheduler.Priority{scheduler.Low, scheduler.High} {
		go Do(s.Context(), s.rt, p, func(context.Context) (int, error) {
			order <- p.String()
			return 0, nil
		})
		eventually(s.T, "the task waits", func() bool {
			q := s.rt.scheduler.Stats().Queued
			return q.Critical+q.High+q.Normal+q.Low+q.Background == i+1
		})
	}
	hold.Release(scheduler.OK)
	first := <-order
	<-order
	return first
}

// secondOfTwo holds the only permit and says what a second caller gets.
func secondOfTwo(s *system) string {
	hold, err := s.rt.scheduler.Acquire(s.Context(), scheduler.Normal)
	if err != nil {
		s.Fatal(err)
	}
	defer hold.Release(scheduler.OK)
	ctx, cancel := context.WithCancel(s.Context())
	defer cancel()
	result := make(chan string, 1)
	go func() {
		_, err := s.rt.scheduler.Acquire(ctx, scheduler.Normal)
		result <- fmt.Sprint(err)
	}()
	eventually(s.T, "the caller waits or is rejected", func() bool {
		return s.rt.scheduler.Stats().Queued.Normal == 1 || len(result) == 1
	})
	cancel()
	return <-result
}

func routeCases() map[string]keyCase {
	off := "[[route]]\ncache = \"off\"\n"
	return map[string]keyCase{
		"route.*.host":           {base: off, line: "host = \"elsewhere.test\"", observe: status("/a", 2)},
		"route.*.path":           {base: off, line: "path = \"/elsewhere\"", observe: status("/a", 2)},
		"route.*.methods":        {base: off, line: "methods = [\"POST\"]", observe: status("/a", 2)},
		"route.*.cache":          {base: "[[route]]\n", line: "cache = \"off\"", observe: status("/a", 2)},
		"route.*.ttl_default":    {base: "[[route]]\n", line: "ttl_default = \"60s\"", observe: status("/plain", 2)},
		"route.*.ttl_min":        {base: "[policy.ttl]\nuse = \"builtin:fixed\"\nconfig = { ttl = \"2s\" }\n[[route]]\n", line: "ttl_min = \"50s\"", observe: status("/a", 1)},
		"route.*.ttl_max":        {base: "[[route]]\n", line: "ttl_max = \"9s\"", observe: status("/a", 1)},
		"route.*.timeout":        {base: "[[route]]\n", line: "timeout = \"50ms\"", observe: code("/slow")},
		"route.*.priority":       {base: oneAtATime + "[[route]]\n", line: "priority = \"critical\"", observe: queueOf()},
		"route.*.trust_priority": {base: oneAtATime + "[[route]]\n", line: "trust_priority = true", observe: queueOf("Priority", "u=0")},
	}
}

const oneAtATime = "[scheduler]\nmin_limit = 1\ninitial_limit = 1\nmax_limit = 1\n"

// queueOf asks while the only permit is held, and says in which queue the
// request waits.
func queueOf(fields ...string) func(*system) string {
	return func(s *system) string {
		hold, err := s.rt.scheduler.Acquire(s.Context(), scheduler.Normal)
		if err != nil {
			s.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.get("/a", fields...)
		}()
		queue := ""
		eventually(s.T, "the request waits", func() bool {
			queue = fmt.Sprint(s.rt.scheduler.Stats().Queued)
			return queue != fmt.Sprint(scheduler.PerPriority[int]{})
		})
		hold.Release(scheduler.OK)
		<-done
		return queue
	}
}

func namedCases(t *testing.T) map[string]keyCase {
	base := "[[route]]\ncache = \"docs\"\n[caches.docs]\ncapacity = \"1MiB\"\n"
	fixed := "[policy.ttl]\nuse = \"builtin:fixed\"\nconfig = { ttl = \"20s\" }\n" + base
	cases := map[string]keyCase{
		"caches.*.capacity": {base: "[[route]]\ncache = \"docs\"\n[caches.docs]\n", line: "capacity = \"128KiB\"", observe: func(s *system) string {
			return fmt.Sprint(s.rt.Stats().Caches["docs"].L1.CapacityBytes)
		}},
		"caches.*.max_entries": {base: base, line: "max_entries = 3", observe: func(s *system) string {
			for i := range 10 {
				s.get(fmt.Sprintf("/%d", i))
			}
			return fmt.Sprint(s.rt.Stats().Caches["docs"].L1.Entries)
		}},
		"caches.*.ttl_min":     {base: fixed, line: "ttl_min = \"50s\"", observe: status("/a", 1)},
		"caches.*.ttl_max":     {base: base, line: "ttl_max = \"9s\"", observe: status("/a", 1)},
		"caches.*.ttl_default": {base: base, line: "ttl_default = \"60s\"", observe: status("/plain", 2)},
	}
	for kind, c := range map[string]struct{ use, module, settings string }{
		"eviction": {"builtin:lru", "../policies/shipped/lru-c", "use = \"builtin:linear\"\nconfig = { sample = 4 }"},
		"ttl":      {"builtin:fixed", "ttl-seven", "use = \"builtin:fixed\"\nconfig = { ttl = \"9s\" }"},
		"prefetch": {"builtin:association", "prefetch-first", "use = \"builtin:association\"\nconfig = { support = 4 }"},
	} {
		table := "[caches.docs.policy." + kind + "]\n"
		seat := kind + "@docs"
		file := testdata(t, c.module)
		if kind == "eviction" {
			file = strings.TrimSuffix(testdata(t, ""), "hostabi/testdata/.wasm") + "policies/shipped/lru-c.wasm"
		}
		cases["caches.*.policy."+kind+".use"] = keyCase{base: base, line: table + "use = \"" + c.use + "\"", observe: policyOf(seat)}
		cases["caches.*.policy."+kind+".config"] = keyCase{base: base, line: table + c.settings, observe: settingsOf(seat)}
		cases["caches.*.policy."+kind+".sha256"] = keyCase{
			base: base + table + "use = \"" + file + "\"\n", line: "sha256 = \"" + shippedDigest + "\"", observe: policyOf(seat), refused: true,
		}
	}
	return cases
}

// redisCases need a real server.
func redisCases(t *testing.T) map[string]keyCase {
	keys := []string{"cache.l2.url", "cache.l2.timeout", "cache.l2.prefix", "cache.l2.max_value"}
	if _, err := exec.LookPath("redis-server"); err != nil {
		cases := map[string]keyCase{}
		for _, key := range keys {
			cases[key] = keyCase{}
		}
		return cases
	}
	addr, paused := startRedis(t), startRedis(t)
	base := "[cache.l2]\nurl = \"redis://" + addr + "/0\"\n"
	// stored says under which keys Redis holds an answer once writes are done;
	// the proxy's address keeps one system's keys from another's.
	stored := func(s *system, path string) string {
		s.get(path)
		s.get("/small")
		eventually(s.T, "the second tier has what it takes", func() bool {
			return strings.Contains(redis(s.T, addr, "KEYS", "*"+s.rt.ProxyAddr()+"/small*"), "/small")
		})
		return redis(s.T, addr, "KEYS", "*"+s.rt.ProxyAddr()+path+"*")
	}
	return map[string]keyCase{
		"cache.l2.url": {line: base, observe: func(s *system) string { return fmt.Sprint(s.rt.Stats().Caches["default"].L2 == nil) }},
		"cache.l2.timeout": {base: "[cache.l2]\nurl = \"redis://" + paused + "/0\"\n", line: "timeout = \"5s\"", observe: func(s *system) string {
			n := 0
			eventually(s.T, "the second tier is asked", func() bool {
				n++
				s.get(fmt.Sprintf("/%d", n))
				return s.rt.Stats().Caches["default"].L2.Misses > 0
			})
			before := s.rt.Stats().Caches["default"].L2.Errors
			pauseRedis(s.T, paused)
			s.get("/paused")
			return fmt.Sprint(s.rt.Stats().Caches["default"].L2.Errors > before)
		}},
		"cache.l2.prefix": {base: base, line: "prefix = \"other:\"", observe: func(s *system) string {
			return fmt.Sprint(strings.Contains(stored(s, "/prefix"), "other:"))
		}},
		"cache.l2.max_value": {base: base, line: "max_value = \"1KiB\"", observe: func(s *system) string {
			return fmt.Sprint(strings.Contains(stored(s, "/large/value"), "large"))
		}},
	}
}

func prefetchCases() map[string]keyCase {
	return map[string]keyCase{
		"prefetch.tick": {line: "[prefetch]\ntick = \"1h\"", observe: func(s *system) string {
			s.get("/brief")
			s.get("/brief")
			return fmt.Sprint(within(3*time.Second, func() bool { return s.seatStats("prefetch").Calls > 0 }))
		}},
		// The budget that the policy was given is among its inputs.
		"prefetch.budget": {base: "[prefetch]\nmax_share = \"100%\"\n", line: "budget = 3", observe: func(s *system) string {
			budget := ""
			eventually(s.T, "the prefetch policy is asked", func() bool {
				s.get("/brief")
				for _, d := range mustSeat(s, "prefetch").decisions() {
					budget = fmt.Sprint(d.Inputs["budget"])
				}
				return budget != ""
			})
			return budget
		}},
	}
}

func mustSeat(s *system, name string) *seat {
	seat, err := s.rt.seat(name)
	if err != nil {
		s.Fatal(err)
	}
	return seat
}

// startRedis starts a server for the test and returns its address.
func startRedis(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	eventually(t, "redis-server listens", func() bool {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
	return addr
}

// pauseRedis makes a server answer nothing for a moment.
func pauseRedis(t *testing.T, addr string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "CLIENT PAUSE 300 ALL\r\n")
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || line != "+OK\r\n" {
		t.Fatalf("pause: %q, %v", line, err)
	}
}

// redis sends one command and returns the raw reply.
func redis(t *testing.T, addr string, args ...string) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	command := fmt.Sprintf("*%d\r\n", len(args))
	for _, a := range args {
		command += fmt.Sprintf("$%d\r\n%s\r\n", len(a), a)
	}
	fmt.Fprint(conn, command+"*1\r\n$4\r\nQUIT\r\n")
	reply, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(reply)
}
