// Command gen writes the records of the SDKs from the description in package
// abi: constants, offsets and structs, with their doc comments. It is run from
// the root of the repository as
//
//	go run ./hostabi/abi/gen
//
// and writes sdk/go/policy/records_gen.go and policies/src/c/records.h. A test compares what it would write
// with what is there. It must not know how an SDK uses the records.
package main

import (
	"bytes"
	"fmt"
	"os"
)

// target is a generated file: its path from the root of the repository and
// what makes its contents.
type target struct {
	path   string
	render func() ([]byte, error)
}

func targets() []target {
	return []target{
		{path: "sdk/go/policy/records_gen.go", render: goRecords},
		{path: "policies/src/c/records.h", render: cRecords},
	}
}

func main() {
	for _, t := range targets() {
		if err := write(t); err != nil {
			fmt.Fprintf(os.Stderr, "gen: %v\n", err)
			os.Exit(1)
		}
	}
}

func write(t target) error {
	data, err := t.render()
	if err != nil {
		return fmt.Errorf("%s: %w", t.path, err)
	}
	if old, err := os.ReadFile(t.path); err == nil && bytes.Equal(old, data) {
		return nil
	}
	return os.WriteFile(t.path, data, 0o644)
}
