package shipped_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
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

func TestUnknownNameListsTheKnown(t *testing.T) {
	_, _, err := shipped.Module("nothing")
	want := `unknown shipped policy "nothing": there are gradient-c, lru-c, s3fifo-c`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
