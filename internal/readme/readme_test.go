package readme

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// shows is what the output of a command must contain.
var shows = map[string][]string{
	"policy new":      {"wrote heat"},
	"policy build":    {"heat.wasm", "sha256"},
	"policy test":     {"passed"},
	"policy push":     {"ttl holds heat"},
	"policy list":     {"heat", "eviction", "prefetch", "scaling"},
	"policy history":  {"push", "heat"},
	"policy rollback": {"linear"},
	"replay --trace":  {"builtin:s3fifo"},
	"ab replay":       {"exact", "fewer misses"},
	"cache top":       {"/pkg/net/http"},
	"cache explain":   {"/pkg/net/http", "linear"},
	"cache patterns":  {"zipf"},
	"-check":          {"is valid"},
}

// blocks returns the commands of the README, one a line.
func blocks(t *testing.T) []string {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var commands []string
	inside := false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "```sh":
			inside = true
		case strings.HasPrefix(line, "```"):
			inside = false
		case inside && line != "":
			commands = append(commands, line)
		}
	}
	if len(commands) < 15 {
		t.Fatalf("found %d commands: the README or this test has changed its form", len(commands))
	}
	return commands
}

func TestEveryCommand(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: -short")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	// What the commands write lies outside of the repository: its files are
	// reached through links.
	work := t.TempDir()
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "heat" && e.Name() != "perfopt" {
			if err := os.Symlink(filepath.Join(root, e.Name()), filepath.Join(work, e.Name())); err != nil {
				t.Fatal(err)
			}
		}
	}
	state := t.TempDir()
	for _, command := range blocks(t) {
		switch {
		case strings.HasPrefix(command, "go run ./cmd/perfoptd") && !strings.Contains(command, "-check"):
			daemon(t, work, state, command)
		case strings.HasPrefix(command, "go run ./internal/check"):
			run(t, work, state, command+" -help")
		default:
			output := run(t, work, state, command)
			for words, wants := range shows {
				for _, want := range wants {
					if strings.Contains(command, words) && !strings.Contains(output, want) {
						t.Errorf("%s\nlacks %q:\n%s", command, want, output)
					}
				}
			}
		}
	}
	first := run(t, work, state, "curl -s -o /dev/null -D - http://127.0.0.1:8080/pkg/io | grep -i cache-status")
	second := run(t, work, state, "curl -s -o /dev/null -D - http://127.0.0.1:8080/pkg/io | grep -i cache-status")
	if !strings.Contains(first, "fwd=uri-miss") || !strings.Contains(second, "; hit") {
		t.Errorf("a miss, then a hit: %s%s", first, second)
	}
}

func environment(state string) []string {
	return append(os.Environ(), "STATE_DIRECTORY="+state, "GOFLAGS=")
}

func run(t *testing.T, dir, state, command string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", command)
	cmd.Dir = dir
	cmd.Env = environment(state)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s\n%v\n%s", command, err, out)
	}
	return string(out)
}

// daemon starts the README's first command and ends it with the test.
func daemon(t *testing.T, dir, state, command string) {
	t.Helper()
	var mu sync.Mutex
	var out bytes.Buffer
	cmd := exec.Command("bash", "-c", "exec "+command)
	cmd.Dir = dir
	cmd.Env = environment(state)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stdout = writer(func(b []byte) { mu.Lock(); out.Write(b); mu.Unlock() })
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) // go run and its child
		<-ended
	})
	deadline := time.NewTimer(5 * time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r, err := http.Get("http://127.0.0.1:8081/readyz")
			if err != nil {
				continue
			}
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				mu.Lock()
				text := out.String()
				mu.Unlock()
				for _, want := range []string{"http://127.0.0.1:8080", "http://127.0.0.1:8081", "eviction", "Try"} {
					if !strings.Contains(text, want) {
						t.Errorf("the start says nothing of %q:\n%s", want, text)
					}
				}
				return
			}
		case <-ended:
			t.Fatalf("it ended:\n%s", out.String())
		case <-deadline.C:
			t.Fatalf("not ready:\n%s", out.String())
		}
	}
}

type writer func([]byte)

func (w writer) Write(b []byte) (int, error) {
	w(b)
	return len(b), nil
}

func TestLinksLeadSomewhere(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for rest := string(text); ; {
		_, after, ok := strings.Cut(rest, "](")
		if !ok {
			break
		}
		target, more, _ := strings.Cut(after, ")")
		rest = more
		if strings.HasPrefix(target, "http") {
			continue
		}
		if _, err := os.Stat(filepath.Join("../..", target)); err != nil {
			t.Errorf("README.md links to %s, which is not there", target)
		}
	}
}
