package perfopt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/perfopt/perfopt/hostabi/ref"
	"github.com/perfopt/perfopt/policies/guard"
)

const (
	lruModule  = "../policies/shipped/lru-c.wasm"
	trapModule = "../hostabi/testdata/ttl-late.wasm"
)

func TestSwapRollbackAndHistory(t *testing.T) {
	s := start(t, "")
	for _, use := range []string{"builtin:lru", "builtin:s3fifo", "shipped:lru-c"} {
		if err := s.rt.Swap(t.Context(), "eviction", use); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for range 3 {
		if err := s.rt.Rollback("eviction"); err != nil {
			t.Fatal(err)
		}
		names = append(names, s.seatStats("eviction").Name)
	}
	if got := strings.Join(names, " "); got != "s3fifo lru linear" {
		t.Errorf("rolled back to %s", got)
	}
	if err := s.rt.Rollback("eviction"); err == nil || !strings.Contains(err.Error(), "nothing to roll back to") {
		t.Errorf("a fourth rollback: %v", err)
	}
	if history := s.admin("GET", "/v1/policies/eviction/history", "").body; strings.Count(history, `"seat"`) != 8 {
		t.Errorf("history: %s", history)
	}
}

func TestFailedSwapChangesNothing(t *testing.T) {
	s := start(t, "")
	for _, p := range []Policy{
		{Use: "builtin:nothing"}, {Use: "nowhere.wasm"}, {Use: "sha256:" + strings.Repeat("0", 64)},
		{Use: "shipped:lru-c", SHA256: strings.Repeat("0", 64)}, {Use: "builtin:linear", Config: map[string]any{"no": 1}},
	} {
		before := s.seatStats("eviction")
		if err := s.rt.SwapWith(t.Context(), "eviction", p); err == nil {
			t.Errorf("%+v was seated", p)
		}
		if after := s.seatStats("eviction"); after.Name != before.Name || after.Since != before.Since {
			t.Errorf("%+v: the seat holds %s now", p, after.Name)
		}
	}
	if err := s.rt.Swap(t.Context(), "eviction@nowhere", "builtin:lru"); err == nil {
		t.Error("a seat that does not exist was filled")
	}
	if err := s.rt.Swap(t.Context(), "ttl", "shipped:lru-c"); err == nil || !strings.Contains(err.Error(), "ttl") {
		t.Errorf("an eviction module in the TTL seat: %v", err)
	}
}

func TestPushSurvivesRestartUnlessTheFileChanged(t *testing.T) {
	dir := t.TempDir()
	digest := ""
	t.Run("push", func(t *testing.T) {
		s, err := tryStart(t, "", dir)
		if err != nil {
			t.Fatal(err)
		}
		got := s.admin("PUT", "/v1/policies/eviction", string(module(t, lruModule)), "Content-Type", "application/wasm")
		if got.status != 200 {
			t.Fatalf("push: %d %s", got.status, got.body)
		}
		digest = s.seatStats("eviction").Digest
	})
	t.Run("restart", func(t *testing.T) {
		s, err := tryStart(t, "", dir)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.seatStats("eviction"); got.Digest != digest || got.Source != "push" {
			t.Errorf("the seat holds %+v", got)
		}
		if n := len(s.rt.journal.History("eviction")); n != 2 {
			t.Errorf("%d entries in the history, want 2: a restart is no change", n)
		}
	})
	t.Run("file changed", func(t *testing.T) {
		s, err := tryStart(t, "[policy.eviction]\nuse = \"builtin:fifo\"\n", dir)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.seatStats("eviction"); got.Name != "fifo" || got.Source != "file" {
			t.Errorf("the seat holds %+v", got)
		}
	})
}

func TestReloadKeepsPushedPoliciesAndRefusesBadFiles(t *testing.T) {
	s := start(t, "")
	write := func(text string) {
		if err := os.WriteFile(s.dir+"/policies.toml", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.rt.Swap(t.Context(), "eviction", "shipped:lru-c"); err != nil {
		t.Fatal(err)
	}
	write("[log]\nlevel = \"warn\"\n[policy.ttl]\nuse = \"builtin:fixed\"\nconfig = { ttl = \"7s\" }\n[cache]\ncapacity = \"1MiB\"\n")
	changed, restart, err := s.rt.Reload(t.Context())
	if err != nil || strings.Join(changed, " ") != "log.level policy.ttl" || strings.Join(restart, " ") != "cache.capacity" {
		t.Errorf("changed %v, restart %v, %v", changed, restart, err)
	}
	if got := s.seatStats("eviction").Name; got != "lru-c" {
		t.Errorf("the pushed policy was replaced by %s", got)
	}
	if got := s.get("/a").cacheStatus(); !strings.Contains(got, "ttl=7;") {
		t.Errorf("Cache-Status %q after the reload", got)
	}
	for _, bad := range []string{"[cache]\ncapacity = \"much\"\n", "[policy.ttl]\nuse = \"builtin:never\"\n", "[policy.eviction]\nuse = \"missing.wasm\"\n"} {
		write(bad + "[log]\nlevel = \"error\"\n")
		if _, _, err := s.rt.Reload(t.Context()); err == nil {
			t.Errorf("accepted:\n%s", bad)
		}
		if got := s.rt.config().Log.Level; got != "warn" {
			t.Errorf("half applied, level %s:\n%s", got, bad)
		}
		if s.seatStats("ttl").Name != "fixed" || s.seatStats("eviction").Name != "lru-c" {
			t.Errorf("seats changed by:\n%s", bad)
		}
	}
}

func TestModuleThatTrapsLaterIsContained(t *testing.T) {
	s := start(t, "")
	if err := s.rt.SwapModule(t.Context(), "ttl", module(t, trapModule), nil); err != nil {
		t.Fatal(err)
	}
	var quarantined atomic.Bool
	events := make(chan string, 100)
	ctx, stop := context.WithCancel(t.Context())
	var listener sync.WaitGroup
	listener.Go(func() {
		s.rt.events.subscribe(ctx, func(name string, _ any) error {
			if name != "stats" {
				events <- name
			}
			return nil
		})
	})
	n := 0
	eventually(t, "the seat is handed to the built-in", func() bool {
		for range 200 {
			if a := s.get(fmt.Sprintf("/%d", n)); a.status != 200 {
				t.Fatalf("request %d: status %d", n, a.status)
			}
			n++
		}
		quarantined.Store(s.seatStats("ttl").Source == "quarantine")
		return quarantined.Load()
	})
	stop()
	listener.Wait()
	close(events)
	faults, policies := 0, 0
	for e := range events {
		switch e {
		case "fault":
			faults++
		case "policy":
			policies++
		}
	}
	if got := s.seatStats("ttl"); got.Name != "linear" || faults < 1 || policies != 1 {
		t.Errorf("seat holds %s, %d fault events, %d policy events", got.Name, faults, policies)
	}
	if !strings.Contains(s.log.String(), "policy in quarantine") {
		t.Errorf("the log does not say so:\n%s", s.log)
	}
}

// TestThousandSwapsUnderLoad is the promise of the hot swap: no request fails,
// the cache keeps its entries, the origin is not asked more.
func TestThousandSwapsUnderLoad(t *testing.T) {
	swaps := 1000
	if testing.Short() {
		swaps = 50
	}
	s := start(t, "[prefetch]\nenabled = false\n")
	const keys = 500
	for i := range keys {
		s.get(fmt.Sprintf("/long/%d", i))
	}
	before, asked := s.rt.Stats().Caches["default"].L1.Entries, s.origin.requests.Load()
	done := make(chan struct{})
	var failed, served atomic.Int64
	var load sync.WaitGroup
	for w := range 4 {
		load.Go(func() {
			for i := w; ; i += 7 {
				select {
				case <-done:
					return
				default:
				}
				a := s.get(fmt.Sprintf("/long/%d", i%keys))
				served.Add(1)
				if a.status != 200 || a.body != fmt.Sprintf("/long/%d", i%keys) {
					failed.Add(1)
				}
			}
		})
	}
	for i := range swaps {
		use := []string{"shipped:lru-c", "builtin:s3fifo"}[i%2]
		if err := s.rt.Swap(t.Context(), "eviction", use); err != nil {
			t.Errorf("swap %d: %v", i, err)
			break
		}
	}
	close(done)
	load.Wait()
	stats := s.rt.Stats().Caches["default"]
	if failed.Load() > 0 || served.Load() == 0 {
		t.Errorf("%d of %d requests failed", failed.Load(), served.Load())
	}
	if stats.L1.Entries < before*99/100 {
		t.Errorf("%d of %d residents are left", stats.L1.Entries, before)
	}
	if more := s.origin.requests.Load() - asked; more > before/100 {
		t.Errorf("the origin was asked %d times more during the swaps", more)
	}
	if got := s.seatStats("eviction"); got.Faults != 0 {
		t.Errorf("faults: %+v", got)
	}
}

func TestDecisionsShowInputs(t *testing.T) {
	s := start(t, "[scheduler]\ntick = \"10ms\"\n")
	s.get("/a")
	eventually(t, "decisions of two seats", func() bool {
		for _, seat := range []string{"ttl", "scaling"} {
			var got struct {
				Decisions []struct {
					Inputs, Outputs map[string]float64
				}
			}
			body := s.admin("GET", "/v1/decisions/"+seat, "").body
			if err := json.Unmarshal([]byte(body), &got); err != nil {
				t.Fatalf("%v: %s", err, body)
			}
			if len(got.Decisions) == 0 || len(got.Decisions[0].Inputs) == 0 || len(got.Decisions[0].Outputs) == 0 {
				return false
			}
		}
		return true
	})
}

// slowOwner lets a test hold an exchange in the middle.
type slowOwner struct {
	owner
	entered, leave chan struct{}
}

func (o slowOwner) adopt(ctx context.Context, l *ref.Loaded, env ref.Env, h *guard.Health) error {
	close(o.entered)
	<-o.leave
	return o.owner.adopt(ctx, l, env, h)
}

func TestSeatIsDescribedDuringAnExchange(t *testing.T) {
	s := start(t, "")
	seat := mustSeat(s, "ttl")
	slow := slowOwner{seat.owner, make(chan struct{}), make(chan struct{})}
	seat.owner = slow
	done := make(chan error, 1)
	go func() { done <- s.rt.Swap(context.Background(), "ttl", "builtin:fixed") }()
	<-slow.entered
	if got := s.seatStats("ttl").Name; got != "linear" {
		t.Errorf("during the exchange the seat holds %s", got)
	}
	close(slow.leave)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	seat.owner = slow.owner
	if got := s.seatStats("ttl").Name; got != "fixed" {
		t.Errorf("after the exchange the seat holds %s", got)
	}
}

func TestPushThatCannotBeKeptSaysSo(t *testing.T) {
	s := start(t, "")
	file := s.dir + "/journal.jsonl"
	if err := errors.Join(os.Remove(file), os.Mkdir(file, 0o700)); err != nil {
		t.Fatal(err)
	}
	got := s.admin("PUT", "/v1/policies/ttl", `{"use":"builtin:fixed"}`, "Content-Type", "application/json")
	if got.status == 200 || !strings.Contains(got.body, "not kept for the next start") {
		t.Errorf("%d %s", got.status, got.body)
	}
	if name := s.seatStats("ttl").Name; name != "fixed" {
		t.Errorf("the seat holds %s", name)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := s.rt.Swap(t.Context(), "ttl", "builtin:linear"); err != nil {
		t.Errorf("once the folder can be written again: %v", err)
	}
}

func TestStrictScalingWantsATarget(t *testing.T) {
	strict := "[policy.scaling]\nconfig = { strict = true }\n"
	if _, err := tryStart(t, strict, t.TempDir()); err == nil || !strings.Contains(err.Error(), "target_latency") {
		t.Errorf("without a number: %v", err)
	}
	start(t, strict+"[scheduler]\ntarget_latency = \"200ms\"\n")
	start(t, "[policy.scaling]\nconfig = { strict = true, target_ms = 100 }\n")
}

func TestReloadChangesTheGuardOfSeatedPolicies(t *testing.T) {
	s := start(t, "")
	if err := os.WriteFile(s.dir+"/policies.toml", []byte("[guard]\nfaults = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.rt.SwapModule(t.Context(), "ttl", module(t, trapModule), nil); err != nil {
		t.Fatal(err)
	}
	if changed, _, err := s.rt.Reload(t.Context()); err != nil || strings.Join(changed, " ") != "guard.faults" {
		t.Fatalf("changed %v, %v", changed, err)
	}
	n := 0
	eventually(t, "the first fault ends in quarantine", func() bool {
		for range 200 {
			s.get(fmt.Sprintf("/%d", n))
			n++
		}
		return s.seatStats("ttl").Source == "quarantine"
	})
	if e, _ := s.rt.journal.Current("ttl"); !strings.Contains(e.Why, "1 faults within") {
		t.Errorf("why: %s", e.Why)
	}
}
