package conform

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perfopt/perfopt/hostabi"
	"github.com/perfopt/perfopt/policies"
)

// build builds a Go policy and loads it.
func build(t *testing.T, host *hostabi.Host, dir, pkg string) *hostabi.Module {
	t.Helper()
	out := filepath.Join(t.TempDir(), "policy.wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", out, pkg)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", pkg, err, text)
	}
	wasm, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	m, err := host.Load(context.Background(), wasm)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func newHost(t *testing.T) *hostabi.Host {
	t.Helper()
	host, err := hostabi.New(context.Background(), hostabi.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := host.Close(); err != nil {
			t.Error(err)
		}
	})
	return host
}

// The race detector makes compiling a Go guest take twenty times as long, and
// there is nothing concurrent here: with it one example has to do.
func TestExamplesConform(t *testing.T) {
	host := newHost(t)
	examples := map[string]policies.Kind{
		"./lru": policies.KindEviction, "./worth": policies.KindEviction, "./heat": policies.KindTTL,
		"./ahead": policies.KindPrefetch, "./tides": policies.KindScaling,
	}
	if raceDetector {
		examples = map[string]policies.Kind{"./worth": policies.KindEviction}
	}
	for pkg, kind := range examples {
		t.Run(pkg[2:], func(t *testing.T) {
			m := build(t, host, filepath.Join("..", "..", "policies", "src", "go"), pkg)
			r, err := Run(context.Background(), m, kind, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range r.Checks {
				t.Logf("%-12s %v: %s", c.Name, c.Passed, c.Detail)
			}
			if !r.Passed() {
				t.Error("it does not conform")
			}
			if r.FuelOne <= 0 || r.FuelShare <= 0 || r.FuelShare > 0.75 {
				t.Errorf("a decision takes %.0f units of fuel, at most %.2f of the budget: want something, and room to spare", r.FuelOne, r.FuelShare)
			}
		})
	}
}

func TestLiesAreFound(t *testing.T) {
	host := newHost(t)
	m := build(t, host, filepath.Join("testdata", "liar"), ".")
	for _, c := range []struct {
		kind  policies.Kind
		lie   string
		check string // that fails
		want  string
	}{
		{policies.KindTTL, "none", "", ""},
		{policies.KindTTL, "nan", "trial", "NaN"},
		{policies.KindTTL, "negative", "trial", "negative"},
		{policies.KindTTL, "loop", "trial", "fuel"},
		{policies.KindTTL, "panic", "trial", "as the setting says"},
		{policies.KindTTL, "error", "trial", "as the setting says"},
		{policies.KindScaling, "none", "", ""},
		{policies.KindScaling, "nan", "trial", "limit NaN"},
		{policies.KindPrefetch, "none", "", ""},
		{policies.KindPrefetch, "invent", "trial", "not shown"},
		{policies.KindEviction, "none", "", ""},
		{policies.KindEviction, "absent", "trial", ""},
		{policies.KindEviction, "again", "trial", ""},
	} {
		for _, after := range []int64{0, 55} { // 55 calls are more than the host's trial makes of most kinds
			r, err := Run(context.Background(), m, c.kind, map[string]any{"lie": c.lie, "after": after})
			if err != nil {
				t.Fatal(err)
			}
			if after > 0 && c.lie == "invent" {
				continue // a guard cannot tell an invented key from one it has forgotten, and leaves it out
			}
			if r.Passed() != (c.check == "") {
				t.Errorf("%s, %s after %d calls: passed is %v: %+v", c.kind, c.lie, after, r.Passed(), r.Checks)
				continue
			}
			last := r.Checks[len(r.Checks)-1]
			for _, x := range r.Checks {
				if !x.Passed {
					last = x
					break
				}
			}
			if after == 0 && c.check != "" && (last.Name != c.check || !strings.Contains(last.Detail, c.want)) {
				t.Errorf("%s, %s: check %s failed with %q: want %s with %q", c.kind, c.lie, last.Name, last.Detail, c.check, c.want)
			}
		}
	}
}

func TestWhatCannotBeAskedIsAnError(t *testing.T) {
	host := newHost(t)
	wasm, err := os.ReadFile(filepath.Join("..", "..", "policies", "shipped", "lru-c.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := host.Load(t.Context(), wasm)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := Run(context.Background(), m, policies.KindScaling, nil); err == nil || !strings.Contains(err.Error(), "not scaling") {
		t.Errorf("another kind: error %v", err)
	}
	if _, err := Run(context.Background(), m, policies.KindEviction, map[string]any{"strech": 2.0}); err == nil || !strings.Contains(err.Error(), "strech") {
		t.Errorf("unknown setting: error %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, m, policies.KindEviction, nil); err == nil {
		t.Error("a cancelled context: no error")
	}
}
