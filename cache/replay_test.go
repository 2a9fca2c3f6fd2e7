package cache_test

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/perfopt/perfopt/cache"
	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/eviction"
	"github.com/perfopt/perfopt/policies/features"
)

// use makes a constructor for Options.Eviction and UseEviction.
func use(make func() policies.Orderer) func(*features.Table) (policies.Orderer, error) {
	return func(*features.Table) (policies.Orderer, error) { return make(), nil }
}

func lru() policies.Orderer    { return eviction.NewLRU() }
func fifo() policies.Orderer   { return eviction.NewFIFO() }
func s3fifo() policies.Orderer { return eviction.NewS3FIFO() }

// traces returns the folder of the reference traces, or skips the test.
func traces(t *testing.T) string {
	folder := os.Getenv("PERFOPT_TRACES")
	if folder == "" {
		folder = filepath.Join("..", "..", "shared", "traces")
	}
	if _, err := os.Stat(filepath.Join(folder, "reference-miss-ratios.csv")); err != nil {
		t.Skipf("no reference traces: set PERFOPT_TRACES to their folder (%v)", err)
	}
	return folder
}

// readLIRS returns the keys of a gzipped trace of one key a line.
func readLIRS(t *testing.T, path string) []uint64 {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var keys []uint64
	for lines := bufio.NewScanner(z); lines.Scan(); {
		if k, err := strconv.ParseUint(lines.Text(), 10, 64); err == nil {
			keys = append(keys, k)
		}
	}
	return keys
}

// replay runs a trace through an inline cache and returns its stats.
func replay(t *testing.T, keys []uint64, o cache.Options[uint64, struct{}]) cache.Stats {
	o.Inline = true
	o.KeyHash = func(k uint64) policies.KeyHash { return policies.KeyHash(k) }
	c, err := cache.New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, k := range keys {
		if _, ok := c.Get(k); !ok {
			c.Set(k, struct{}{})
		}
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	return c.Stats()
}

func TestReplayEqualsTheReferenceSimulator(t *testing.T) {
	folder := traces(t)
	f, err := os.Open(filepath.Join(folder, "reference-miss-ratios.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	makers := map[string]func() policies.Orderer{"LRU": lru, "FIFO": fifo, "S3-FIFO": s3fifo}
	keys := map[string][]uint64{}
	names, least := []string{"loop", "multi2", "sprite"}, 24
	if testing.Short() || raceEnabled {
		names, least = []string{"multi2"}, 9
	}
	for _, name := range names {
		keys[name] = readLIRS(t, filepath.Join(folder, name+".lirs.gz"))
	}
	checked := 0
	for _, row := range rows[1:] {
		trace, algorithm, want := row[0], row[2], row[3]
		if keys[trace] == nil || makers[algorithm] == nil {
			continue
		}
		capacity, err := strconv.ParseInt(row[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		st := replay(t, keys[trace], cache.Options[uint64, struct{}]{Capacity: capacity, Eviction: use(makers[algorithm])})
		got := fmt.Sprintf("%.4f", float64(st.Misses)/float64(st.Hits+st.Misses))
		if got != want || st.EvictionFaults > 0 || st.Sampled > 0 || st.Entries > capacity {
			t.Errorf("%s, %d objects, %s: miss ratio %s, want %s (%+v)", trace, capacity, algorithm, got, want, st)
		}
		checked++
	}
	if checked < least {
		t.Errorf("checked %d rows, want at least %d", checked, least)
	}
}
