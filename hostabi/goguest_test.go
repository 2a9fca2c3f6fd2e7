package hostabi_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perfopt/perfopt/hostabi"
	"github.com/perfopt/perfopt/policies"
)

// buildGo builds one of the policies in Go, or a program given as source, into
// a module.
func buildGo(t *testing.T, dir, pkg string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "policy.wasm")
	c := exec.Command("go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", out, pkg)
	c.Dir = dir
	c.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOWORK=off", "GOFLAGS=-mod=mod")
	if text, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", c.Args, err, text)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// goHost keeps compiled code on disk, as a daemon would.
func goHost(t *testing.T) *hostabi.Host {
	return newHost(t, hostabi.Options{CacheDir: filepath.Join(t.TempDir(), "cache")})
}

func TestGoPoliciesPassTheirTrials(t *testing.T) {
	if testing.Short() {
		t.Skip("builds five modules with the Go toolchain")
	}
	h := goHost(t)
	for name, kind := range map[string]policies.Kind{
		"heat": policies.KindTTL, "lru": policies.KindEviction, "worth": policies.KindEviction,
		"ahead": policies.KindPrefetch, "tides": policies.KindScaling,
	} {
		if raceEnabled && name != "heat" {
			continue // one is enough to see races
		}
		t.Run(name, func(t *testing.T) {
			m := load(t, h, buildGo(t, "../policies/src/go", "./"+name))
			if !m.Manifest().Has(kind) {
				t.Fatalf("decides %v, want %s", m.Kinds(), kind)
			}
			if err := m.Trial(context.Background(), kind, nil); err != nil {
				t.Error(err)
			}
			if name == "worth" != m.Scores() && kind == policies.KindEviction {
				t.Errorf("scores: %t", m.Scores())
			}
		})
	}
}

// hostileGo does in Go what a guest should not: each config value is another
// deed.
const hostileGo = `package main

import (
	"fmt"
	"os"
	"time"

	"github.com/perfopt/perfopt/sdk/go/policy"
)

type hostile struct{ deed string }

func (h *hostile) Init(c *policy.Config) error { h.deed = c.String("deed"); return nil }

var kept [][]byte

func (h *hostile) TTL(b *policy.Batch, out []float64) error {
	switch h.deed {
	case "panic":
		panic("on purpose")
	case "loop":
		for {
		}
	case "memory":
		for {
			kept = append(kept, make([]byte, 1<<20))
		}
	case "exit":
		os.Exit(3)
	case "sleep":
		start := time.Now()
		time.Sleep(5 * time.Second)
		out[0] = time.Since(start).Seconds()
		return nil
	case "read":
		_, err := os.ReadFile("/etc/passwd")
		if err == nil {
			return fmt.Errorf("read a file")
		}
		if wd, _ := os.Getwd(); os.Getenv("PATH") != "" || len(os.Args) > 1 {
			return fmt.Errorf("saw the environment or %s", wd)
		}
	case "deadlock":
		<-make(chan int)
	}
	out[0] = 1
	return nil
}

func main() {}

func init() {
	policy.Serve(policy.Manifest{Name: "hostile", Config: policy.Schema{
		"deed": policy.String("none", "what to do")}}, &hostile{})
}
`

func TestGoGuestsAreContained(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a module with the Go toolchain")
	}
	dir := t.TempDir()
	sdk, err := filepath.Abs("../sdk/go")
	if err != nil {
		t.Fatal(err)
	}
	goMod := fmt.Sprintf("module hostile\n\ngo 1.26\n\nrequire github.com/perfopt/perfopt/sdk/go v0.0.0\n\nreplace github.com/perfopt/perfopt/sdk/go => %s\n", sdk)
	for name, text := range map[string]string{"go.mod": goMod, "main.go": hostileGo} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m := load(t, goHost(t), buildGo(t, dir, "."))
	for deed, want := range map[string]struct {
		fault string
		out   float64
	}{
		"none": {"", 1}, "read": {"", 1}, "sleep": {"", 5},
		"panic":    {"on purpose", 0},
		"loop":     {"fuel fault", 0},
		"memory":   {"fault", 0},
		"exit":     {"exit code 3", 0},
		"deadlock": {"deadlock", 0},
	} {
		t.Run(deed, func(t *testing.T) {
			p := closing[policies.TTL](t)(m.TTL(hostabi.Env{Config: map[string]any{"deed": deed}}))
			out := make([]policies.Nanos, 1)
			err := p.TTL(ttlBatch(p, 1, 1), out)
			if want.fault == "" {
				if err != nil || out[0] != policies.Nanos(want.out*1e9) {
					t.Errorf("answered %v, %v; want %v s", out[0], err, want.out)
				}
			} else if err == nil || !strings.Contains(err.Error(), want.fault) {
				t.Errorf("got %v, want %q", err, want.fault)
			}
		})
	}
}
