package trace

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// tracesDir is the folder of the real traces, which are not part of the
// repository.
func tracesDir(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("PERFOPT_TRACES")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "traces")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no traces at %s: set PERFOPT_TRACES to their folder", dir)
	}
	return dir
}

// TestCountsOfRealTraces reads all traces; under the race detector the long
// ones only with PERFOPT_FULL=1.
func TestCountsOfRealTraces(t *testing.T) {
	dir := tracesDir(t)
	for _, tt := range []struct {
		file     string
		format   Format
		requests int
		unique   int
		sized    bool
		timed    bool
	}{
		{"adaptsize-cdn.txt.xz", Spaced, 66_987, 36_815, true, true},
		{"cloudphysics-io.oracleGeneral.bin", Oracle, 113_872, 48_974, true, true},
		{"loop.lirs.gz", LIRS, 505_500, 1_011, false, false},
		{"mooncake-conversation.jsonl", Mooncake, 288_500, 182_790, false, true},
		{"multi2.lirs.gz", LIRS, 26_311, 5_684, false, false},
		{"oltp.arc.gz", ARC, 914_145, 186_880, false, false},
		{"orm-busy.be32.xz", BE32, 5_000_000, 76_349, false, false},
		{"p3.arc.gz", ARC, 3_912_296, 762_543, false, false},
		{"scarab-recs.be64.xz", BE64, 1_245_184, 258_368, false, false},
		{"sprite.lirs.gz", LIRS, 133_996, 7_075, false, false},
		{"web07.be32.xz", BE32, 76_118, 20_484, false, false},
	} {
		if raceDetector && tt.requests > 1_000_000 && os.Getenv("PERFOPT_FULL") == "" {
			continue
		}
		t.Run(tt.file, func(t *testing.T) {
			r, err := Open(filepath.Join(dir, tt.file), "auto")
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if r.Format() != tt.format {
				t.Errorf("format %s, want %s", r.Format(), tt.format)
			}
			seen := make(map[uint64]struct{})
			buf := make([]Access, 1000)
			requests := 0
			for {
				n, err := r.ReadBatch(buf)
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				requests += n
				for _, a := range buf[:n] {
					seen[a.Key] = struct{}{}
					if a.HasSize != tt.sized || a.HasTime != tt.timed {
						t.Fatalf("access %+v: want size %v, time %v", a, tt.sized, tt.timed)
					}
				}
			}
			if requests != tt.requests || len(seen) != tt.unique {
				t.Errorf("%d requests, %d unique keys; want %d and %d", requests, len(seen), tt.requests, tt.unique)
			}
		})
	}
}
