package eviction_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/eviction"
)

// TestMissRatiosOfTheReferenceSimulator compares every row of
// reference-miss-ratios.csv for four short traces; the cache's replay test has
// the others. The traces are looked for in $PERFOPT_TRACES.
func TestMissRatiosOfTheReferenceSimulator(t *testing.T) {
	folder := os.Getenv("PERFOPT_TRACES")
	if folder == "" {
		folder = filepath.Join("..", "..", "..", "shared", "traces")
	}
	table, err := os.Open(filepath.Join(folder, "reference-miss-ratios.csv"))
	if err != nil {
		t.Skipf("no reference traces: set PERFOPT_TRACES to their folder (%v)", err)
	}
	defer table.Close()
	rows, err := csv.NewReader(table).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"loop": "loop.lirs.gz", "multi2": "multi2.lirs.gz", "sprite": "sprite.lirs.gz", "cloudphysics-io": "cloudphysics-io.oracleGeneral.bin",
	}
	makers := map[string]func() policies.Orderer{
		"LRU":     func() policies.Orderer { return eviction.NewLRU() },
		"FIFO":    func() policies.Orderer { return eviction.NewFIFO() },
		"S3-FIFO": func() policies.Orderer { return eviction.NewS3FIFO() },
		"SIEVE":   func() policies.Orderer { return eviction.NewSieve() },
	}
	keys := map[string][]policies.KeyHash{}
	checked := 0
	for _, row := range rows[1:] {
		trace, algorithm, want := row[0], row[2], row[3]
		make, file := makers[algorithm], files[trace]
		if make == nil || file == "" {
			continue
		}
		if keys[trace] == nil {
			keys[trace] = readTrace(t, filepath.Join(folder, file))
		}
		capacity, _ := strconv.ParseInt(row[1], 10, 64)
		if trace == "loop" && capacity > 10 {
			continue // long and the same: nothing is ever hit
		}
		d := newDriver(t, make(), capacity)
		for _, key := range keys[trace] {
			d.access(key, 1)
		}
		got := fmt.Sprintf("%.4f", float64(d.misses)/float64(len(keys[trace])))
		if got != want {
			t.Errorf("%s of %d objects, %s: miss ratio %s, want %s", trace, capacity, algorithm, got, want)
		}
		checked++
	}
	if checked == 0 {
		t.Error("no row was checked")
	}
}

func readTrace(t *testing.T, path string) (keys []policies.KeyHash) {
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(path, ".gz") {
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if data, err = io.ReadAll(z); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Contains(path, ".oracleGeneral") {
		for ; len(data) >= 24; data = data[24:] {
			keys = append(keys, policies.KeyHash(binary.LittleEndian.Uint64(data[4:])))
		}
		return keys
	}
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line == "" || line == "*" {
			continue
		}
		key, err := strconv.ParseUint(line, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, policies.KeyHash(key))
	}
	return keys
}
