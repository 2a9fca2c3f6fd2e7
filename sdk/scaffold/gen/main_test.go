package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestArchiveIsUpToDate(t *testing.T) {
	want, err := archive(filepath.Join("..", "..", "go"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join("..", "archives", "go.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("sdk/scaffold/archives/go.txtar differs from sdk/go: run: go run ./sdk/scaffold/gen")
	}
}

func TestArchiveRefusesWhatItCannotCarry(t *testing.T) {
	for name, data := range map[string]string{"marker": "-- a --\n", "no newline": "x"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "f"), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := archive(dir); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
