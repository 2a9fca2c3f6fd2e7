package eviction_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
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
// reference-miss-ratios.csv for the traces that the standard library can read.
// The traces are looked for in $PERFOPT_TRACES.
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
		"loop": "loop.lirs.gz", "multi2": "multi2.lirs.gz", "sprite": "sprite.lirs.gz", "oltp": "oltp.arc.gz",
		"cloudphysics-io": "cloudphysics-io.oracleGeneral.bin", "mooncake-conversation": "mooncake-conversation.jsonl",
	}
	if testing.Short() {
		files = map[string]string{"loop": files["loop"], "multi2": files["multi2"]}
	}
	makers := map[string]func() policies.Orderer{
		"LRU":     func() policies.Orderer { return eviction.NewLRU() },
		"FIFO":    func() policies.Orderer { return eviction.NewFIFO() },
		"S3-FIFO": func() policies.Orderer { return eviction.NewS3FIFO() },
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
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		switch fields := strings.Fields(lines.Text()); {
		case strings.HasSuffix(path, ".jsonl"):
			var request struct {
				HashIDs []uint64 `json:"hash_ids"`
			}
			if err := json.Unmarshal(lines.Bytes(), &request); err != nil {
				t.Fatal(err)
			}
			for _, id := range request.HashIDs {
				keys = append(keys, policies.KeyHash(id))
			}
		case len(fields) >= 2:
			start, _ := strconv.ParseUint(fields[0], 10, 64)
			count, _ := strconv.ParseUint(fields[1], 10, 64)
			for i := range count {
				keys = append(keys, policies.KeyHash(start+i))
			}
		case len(fields) == 1 && fields[0] != "*":
			key, err := strconv.ParseUint(fields[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, policies.KeyHash(key))
		}
	}
	return keys
}
