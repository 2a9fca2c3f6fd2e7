package trace

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestRecordingIsReadBack(t *testing.T) {
	access := rapid.Custom(func(t *rapid.T) Access {
		return Access{
			Time:    time.Duration(rapid.Uint32().Draw(t, "seconds")) * time.Second,
			Key:     rapid.Uint64().Draw(t, "key"),
			Size:    rapid.Uint32().Draw(t, "size"),
			HasTime: true, HasSize: true,
		}
	})
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(access, 0, 2000).Draw(t, "accesses")
		suffix := rapid.SampledFrom([]string{".oracleGeneral", ".oracleGeneral.bin", ".oracleGeneral.gz", ".oracleGeneral.zst"}).Draw(t, "suffix")
		n++
		path := filepath.Join(dir, "r"+string(rune('a'+n%26))+suffix)
		os.Remove(path)
		w, err := Create(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range want {
			if err := w.Write(a); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Write(Access{}); !errors.Is(err, os.ErrClosed) {
			t.Fatalf("writing after Close: %v, want os.ErrClosed", err)
		}
		r, err := Open(path, "")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		var got []Access
		for a, err := range r.All() {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, a)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%d accesses read back, want the %d written", len(got), len(want))
		}
	})
}

func TestRecordingSaturates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.oracleGeneral")
	w, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []time.Duration{-time.Hour, 1999 * time.Millisecond, math.MaxInt64} {
		if err := w.Write(Access{Time: at}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := Open(path, "")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var got []time.Duration
	for _, a := range readAll(t, r) {
		got = append(got, a.Time/time.Second)
	}
	if want := []time.Duration{0, 1, math.MaxUint32}; !slices.Equal(got, want) {
		t.Errorf("seconds %d, want %d", got, want)
	}
}

func TestCreateRefusesOtherNames(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.csv", "a", "a.oracleGeneral.xz"} {
		if _, err := Create(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s: created, want a refusal", name)
		}
	}
	path := filepath.Join(dir, "a.oracleGeneral")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("an existing file: %v, want os.ErrExist", err)
	}
}
