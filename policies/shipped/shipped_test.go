package shipped_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perfopt/perfopt/policies/shipped"
)

func TestDigestsAreThoseOfTheModules(t *testing.T) {
	files, err := filepath.Glob("*.wasm")
	if err != nil {
		t.Fatal(err)
	}
	if names := shipped.Names(); len(names) != len(files) || len(names) == 0 {
		t.Fatalf("names %v for files %v", names, files)
	}
	for _, name := range shipped.Names() {
		wasm, want, err := shipped.Module(name)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(wasm)
		if got := hex.EncodeToString(sum[:]); got != want {
			t.Errorf("%s has digest %s, SHA256SUMS says %s", name, got, want)
		}
		if len(wasm) > 64<<10 {
			t.Errorf("%s has %d bytes, want at most 64 KiB", name, len(wasm))
		}
		if onDisk, err := os.ReadFile(name + ".wasm"); err != nil || len(onDisk) != len(wasm) {
			t.Errorf("%s: %d bytes embedded, %d on disk, %v", name, len(wasm), len(onDisk), err)
		}
	}
}

// The toolchains named in TOOLCHAINS rebuild the modules to the same bytes.
func TestSourcesRebuildToTheSameBytes(t *testing.T) {
	recorded, err := os.ReadFile("TOOLCHAINS")
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range []string{"clang", "wasm-ld"} {
		text, err := exec.Command(tool, "--version").Output()
		if err != nil {
			t.Skipf("no %s: apt-get install clang lld (%v)", tool, err)
		}
		version, _, _ := strings.Cut(string(text), "\n")
		if !strings.Contains(string(recorded), version+"\n") {
			t.Skipf("%s is %q, the modules were built by another one: see TOOLCHAINS", tool, version)
		}
	}
	out := t.TempDir()
	build := exec.Command("sh", "build.sh", out)
	build.Dir = filepath.Join("..", "src", "c")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for _, name := range shipped.Names() {
		built, err := os.ReadFile(filepath.Join(out, name+".wasm"))
		if err != nil {
			t.Fatal(err)
		}
		if wasm, _, _ := shipped.Module(name); !bytes.Equal(built, wasm) {
			t.Errorf("%s is built to other bytes: run: sh policies/src/build.sh", name)
		}
	}
}

func TestUnknownNameListsTheKnown(t *testing.T) {
	_, _, err := shipped.Module("nothing")
	want := `unknown shipped policy "nothing": there are gradient-c, lru-c, s3fifo-c`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
