package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestGeneratedFilesAreUpToDate(t *testing.T) {
	for _, target := range targets() {
		want, err := target.render()
		if err != nil {
			t.Fatalf("%s: %v", target.path, err)
		}
		got, err := os.ReadFile(filepath.Join("..", "..", "..", target.path))
		if err != nil {
			t.Fatalf("%v: run: go run ./hostabi/abi/gen", err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs from package abi: run: go run ./hostabi/abi/gen", target.path)
		}
	}
}
