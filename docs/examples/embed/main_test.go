package main

import (
	"bytes"
	"os/exec"
	"testing"
)

func TestOutput(t *testing.T) {
	out, err := exec.Command("go", "run", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := "42 <nil>\nloads 4, answered otherwise 36, eviction by s3fifo\n"
	if !bytes.Equal(out, []byte(want)) {
		t.Errorf("got %q, want %q", out, want)
	}
}
