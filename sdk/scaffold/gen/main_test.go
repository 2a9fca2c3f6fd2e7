package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/perfopt/perfopt/sdk/scaffold"
)

func TestArchivesAreUpToDate(t *testing.T) {
	for _, language := range scaffold.Languages() {
		want, err := archive(filepath.Join("..", "..", language))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join("..", "archives", language+".txtar"))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("sdk/scaffold/archives/%s.txtar differs from sdk/%s: run: go run ./sdk/scaffold/gen", language, language)
		}
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
