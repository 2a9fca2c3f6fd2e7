package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func openTest(t *testing.T, dir string) *Journal {
	t.Helper()
	j, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func add(t *testing.T, j *Journal, e Entry) Entry {
	t.Helper()
	e, err := j.Append(e)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestHistorySurvivesReopening(t *testing.T) {
	for _, dir := range []string{t.TempDir()} {
		j := openTest(t, dir)
		add(t, j, Entry{Seat: "eviction", Source: SourceFile, Use: "builtin:linear", Name: "linear"})
		add(t, j, Entry{Seat: "ttl", Source: SourceFile, Use: "builtin:linear", Name: "linear"})
		add(t, j, Entry{Seat: "eviction", Source: SourcePush, Use: "builtin:lru", Name: "lru", Who: "me", Config: []byte(`{"a":1}`)})
		j.Close()
		j = openTest(t, dir)
		h := j.History("eviction")
		if len(h) != 2 || h[0].Name != "lru" || h[0].ID != 3 || string(h[0].Config) != `{"a":1}` || h[1].Name != "linear" {
			t.Errorf("got %+v", h)
		}
		if e := add(t, j, Entry{Seat: "ttl", Use: "builtin:fixed"}); e.ID != 4 {
			t.Errorf("next ID %d, want 4", e.ID)
		}
	}
}

func TestRollbackGoesFurtherBackEachTime(t *testing.T) {
	j := openTest(t, "")
	for _, use := range []string{"builtin:linear", "builtin:lru", "builtin:s3fifo"} {
		add(t, j, Entry{Seat: "eviction", Source: SourcePush, Use: use})
	}
	var got []string
	for {
		e, ok := j.Before("eviction")
		if !ok {
			break
		}
		got = append(got, e.Use)
		add(t, j, Entry{Seat: "eviction", Source: SourceRollback, Use: e.Use, Restores: e.ID})
	}
	if fmt.Sprint(got) != "[builtin:lru builtin:linear]" {
		t.Errorf("rolled back through %v", got)
	}
	add(t, j, Entry{Seat: "eviction", Source: SourcePush, Use: "builtin:fifo"})
	if e, _ := j.Before("eviction"); e.Use != "builtin:s3fifo" {
		t.Errorf("after a push: %+v", e)
	}
}

func TestQuarantinedPolicyIsNotRolledBackTo(t *testing.T) {
	j := openTest(t, "")
	add(t, j, Entry{Seat: "ttl", Source: SourceFile, Use: "builtin:linear"})
	add(t, j, Entry{Seat: "ttl", Source: SourcePush, Use: "sha256:x", Digest: "x"})
	add(t, j, Entry{Seat: "ttl", Source: SourceQuarantine, Use: "builtin:linear", Bad: true})
	add(t, j, Entry{Seat: "ttl", Source: SourcePush, Use: "builtin:fixed"})
	if e, _ := j.Before("ttl"); e.Use != "builtin:linear" {
		t.Errorf("rolls back to %+v", e)
	}
	add(t, j, Entry{Seat: "ttl", Source: SourcePush, Use: "sha256:x", Digest: "x"})
	add(t, j, Entry{Seat: "ttl", Source: SourcePush, Use: "builtin:fixed", Config: []byte(`{"ttl":1}`)})
	if e, _ := j.Before("ttl"); e.Digest != "x" {
		t.Errorf("pushed again by hand, but rolls back to %+v", e)
	}
}

func TestDamagedFileKeepsTheRest(t *testing.T) {
	dir := t.TempDir()
	j := openTest(t, dir)
	add(t, j, Entry{Seat: "a", Use: "builtin:one"})
	add(t, j, Entry{Seat: "a", Use: "builtin:two"})
	j.Close()
	file := filepath.Join(dir, "journal.jsonl")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	broken := strings.Replace(string(text), "{", "nonsense\n{", 1) + `{"id":3,"seat":"a","us`
	if err := os.WriteFile(file, []byte(broken), 0o600); err != nil {
		t.Fatal(err)
	}
	j = openTest(t, dir)
	if h := j.History("a"); len(h) != 2 || len(j.Damage()) != 2 {
		t.Errorf("history %+v, damage %q", h, j.Damage())
	}
	if _, err := os.Stat(file + ".damaged"); err != nil {
		t.Error(err)
	}
	add(t, j, Entry{Seat: "a", Use: "builtin:three"})
	j.Close()
	if j = openTest(t, dir); len(j.History("a")) != 3 || len(j.Damage()) != 0 {
		t.Errorf("after mending: %+v, %q", j.History("a"), j.Damage())
	}
}

func TestModulesByDigest(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"", dir} {
		j := openTest(t, d)
		digest, err := j.PutModule([]byte("module"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := j.Get(digest); err != nil || string(got) != "module" {
			t.Errorf("%q, %v", got, err)
		}
		if _, err := j.Get(strings.Repeat("0", 64)); !errors.Is(err, ErrNoModule) {
			t.Errorf("unknown digest: %v", err)
		}
		if _, err := j.Get("../../etc/passwd"); err == nil || errors.Is(err, ErrNoModule) {
			t.Errorf("bad digest: %v", err)
		}
		if d == dir {
			if err := os.WriteFile(j.modulePath(digest), []byte("other"), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := j.Get(digest); err == nil || !strings.Contains(err.Error(), "damaged") {
				t.Errorf("damaged module: %v", err)
			}
		}
	}
}

func TestOneDaemonPerFolder(t *testing.T) {
	dir := t.TempDir()
	j := openTest(t, dir)
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "another running daemon") {
		t.Errorf("second open: %v", err)
	}
	j.Close()
	openTest(t, dir)
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte(`{"id":1,"seat":"a","use":"builtin:x"}` + "\n"))
	f.Add([]byte("{\n\x00{}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "journal.jsonl"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		if _, err := j.Append(Entry{Seat: "a", Use: "builtin:y"}); err != nil {
			t.Fatal(err)
		}
		if e, ok := j.Current("a"); !ok || e.Use != "builtin:y" {
			t.Errorf("current: %+v", e)
		}
	})
}
