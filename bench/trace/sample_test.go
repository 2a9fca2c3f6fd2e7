package trace

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"sort"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

var update = flag.Bool("update", false, "rewrite generated files")

// generateSample is the model behind the sample: 2,000 documents by Zipf's law
// (exponent 0.9); every 25 accesses one of them is replaced by a new document,
// so popularity drifts; in two windows half of the accesses belong to a scan
// over objects that are asked for once.
func generateSample() []Access {
	const (
		accesses  = 48_000
		documents = 2_000
		exponent  = 0.9
		replace   = 25
		scanKeys  = 1 << 32 // scanned objects are numbered from here
	)
	rng := rand.New(rand.NewPCG(2026, 1))
	cumulative := make([]float64, documents)
	var sum float64
	for i := range cumulative {
		sum += math.Pow(float64(i+1), -exponent)
		cumulative[i] = sum
	}
	holder := rng.Perm(documents)
	fresh, scanned := documents, uint64(scanKeys)
	out := make([]Access, accesses)
	for i := range out {
		if i%replace == 0 {
			holder[rng.IntN(documents)] = fresh
			fresh++
		}
		key := uint64(holder[sort.SearchFloat64s(cumulative, rng.Float64()*sum)])
		if inScan := (i > 16_000 && i < 21_000) || (i > 36_000 && i < 39_000); inScan && rng.IntN(2) == 0 {
			key = scanned
			scanned++
		}
		// Sizes are a function of the key: 256 B to 64 KiB, small ones frequent.
		spread := float64(key*0x9E3779B97F4A7C15>>40) / (1 << 24)
		size := uint32(256 * math.Exp2(8*spread*spread))
		at := time.Duration(i) * time.Hour / accesses
		out[i] = Access{Time: at.Truncate(time.Second), Key: key, Size: size, HasTime: true, HasSize: true}
	}
	return out
}

func TestSampleIsGenerated(t *testing.T) {
	want := generateSample()
	if *update {
		var text bytes.Buffer
		for _, a := range want {
			fmt.Fprintf(&text, "%d,%d,%d\n", a.Time/time.Second, a.Key, a.Size)
		}
		z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		sampleData = z.EncodeAll(text.Bytes(), nil)
		if err := os.WriteFile(sampleFile, sampleData, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if size := len(sampleData); size > 200<<10 {
		t.Errorf("the sample has %d bytes, want at most 200 KiB", size)
	}
	r, err := Open(SampleName, "")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got := readAll(t, r); !slices.Equal(got, want) {
		t.Errorf("the embedded sample of %d accesses is not what its generator makes (%d accesses); run: go test ./bench/trace -run TestSampleIsGenerated -update", len(got), len(want))
	}
	if r.Name() != SampleName {
		t.Errorf("name %q, want %q", r.Name(), SampleName)
	}
}

func readAll(t *testing.T, r *Reader) []Access {
	t.Helper()
	var all []Access
	for a, err := range r.All() {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	return all
}
