package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perfopt/perfopt/hostabi/abi"
)

func TestGeneratedFilesAreUpToDate(t *testing.T) {
	for _, target := range targets() {
		got, err := os.ReadFile(filepath.Join("..", "..", "..", target.path))
		if err != nil {
			t.Fatalf("%v: run: go run ./hostabi/abi/gen", err)
		}
		want, err := target.contents(got)
		if err != nil {
			t.Fatalf("%s: %v", target.path, err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs from package abi: run: go run ./hostabi/abi/gen", target.path)
		}
		// Doc comments with units and ranges go along with every number.
		for _, c := range abi.Columns() {
			if !strings.Contains(string(got), c.Doc+". Unit "+c.Unit+", range "+c.Range+".") {
				t.Errorf("%s does not say what column %s is", target.path, c.Name)
			}
		}
		for _, f := range abi.Load().Fields {
			if !strings.Contains(string(got), f.Doc) {
				t.Errorf("%s does not say what %s of the load is", target.path, f.Name)
			}
		}
	}
}

func TestHandWrittenLinesStay(t *testing.T) {
	target := target{render: func() ([]byte, error) { return []byte("new\n"), nil }, between: true}
	got, err := target.contents([]byte("head\n" + string(markStart) + "old\n" + string(markEnd) + "tail\n"))
	if want := "head\n" + string(markStart) + "new\n" + string(markEnd) + "tail\n"; err != nil || string(got) != want {
		t.Errorf("contents are %q, %v: want %q", got, err, want)
	}
	if _, err := target.contents([]byte("head\ntail\n")); err == nil {
		t.Error("no error without marks")
	}
}
