package trace_test

import (
	"fmt"
	"log"
	"testing"

	"github.com/perfopt/perfopt/bench/trace"
)

func Example() {
	r, err := trace.Open(trace.SampleName, "")
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	requests, unique := 0, map[uint64]bool{}
	for a, err := range r.All() {
		if err != nil {
			log.Fatal(err)
		}
		requests++
		unique[a.Key] = true
	}
	fmt.Println(r.Format(), requests, "requests,", len(unique), "keys")
	// Output: csv 48000 requests, 7330 keys
}

func BenchmarkRead(b *testing.B) {
	accesses := 0
	for b.Loop() {
		r, err := trace.Open("testdata/web07.be32.xz", "")
		if err != nil {
			b.Fatal(err)
		}
		buf := make([]trace.Access, 1024)
		for err == nil {
			var n int
			n, err = r.ReadBatch(buf)
			accesses += n
		}
		r.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(accesses), "ns/access")
}
