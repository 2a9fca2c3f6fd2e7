package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience bounds every wait for something that should happen.
const patience = 60 * time.Second

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"perfoptd": main})
}

// TestScripts runs the built daemon as people do, from testdata/script/*.txtar:
// daemon, client and origin in one file. The commands beyond testscript's own
// are in the files script_*_test.go.
func TestScripts(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	tools := t.TempDir()
	build := exec.Command("go", "build", "-o", tools, "./cmd/perfopt")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build perfopt: %v\n%s", err, out)
	}
	goCache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			w := &world{waiting: map[string]chan answer{}}
			e.Values[worldKey{}] = w
			e.Defer(w.close)
			e.Setenv("PATH", tools+string(filepath.ListSeparator)+e.Getenv("PATH"))
			e.Setenv("GOCACHE", strings.TrimSpace(string(goCache)))
			e.Setenv("GOPROXY", "off")
			e.Setenv("GOFLAGS", "-mod=mod")
			e.Setenv("STATE_DIRECTORY", filepath.Join(e.WorkDir, "state"))
			e.Setenv("TESTDATA", filepath.Join(root, "cmd", "perfoptd", "testdata"))
			e.Setenv("HOSTILE", filepath.Join(root, "hostabi", "testdata"))
			e.Setenv("SHIPPED", filepath.Join(root, "policies", "shipped"))
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"daemon":  cmdDaemon,
			"exits":   cmdExits,
			"http":    cmdHTTP,
			"load":    cmdLoad,
			"metrics": cmdMetrics,
			"origin":  cmdOrigin,
			"redis":   cmdRedis,
			"stat":    cmdStat,
			"swaps":   cmdSwaps,
			"until":   cmdUntil,
		},
	})
}

// world is what a script has running.
type world struct {
	origin  *origin
	daemon  *process
	redis   *process
	garbage *garbage
	load    *load

	mu sync.Mutex
	// guards the field below
	waiting map[string]chan answer // of requests in the background, by name
}

type worldKey struct{}

func worldOf(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

// close ends what the script left running.
func (w *world) close() {
	if w.load != nil {
		w.load.cancel()
	}
	if w.origin != nil {
		w.origin.close()
	}
	for _, p := range []*process{w.daemon, w.redis} {
		if p != nil {
			p.kill()
		}
	}
	if w.garbage != nil {
		w.garbage.close()
	}
}

// eventually polls until check is content; its last complaint is the failure.
func eventually(check func() error) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("after %s: %w", patience, err)
		case <-tick.C:
		}
	}
}

// cmdExits runs a command and wants its exit code: exits CODE COMMAND ARGS...
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARGS...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%s: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}
