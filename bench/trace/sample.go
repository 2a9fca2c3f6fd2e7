package trace

import (
	"bytes"
	_ "embed" // the sample
)

// sampleData is a trace of 48,000 accesses in an hour, with times and sizes:
// documents asked for by Zipf's law with a popularity that drifts, and two
// scans over objects that nobody asks for again. TestSampleIsGenerated writes
// it (-update) and holds it to its generator.
//
//go:embed sample.csv.zst
var sampleData []byte

const sampleFile = "sample.csv.zst"

func openSample(format string) (*Reader, error) {
	return New(bytes.NewReader(sampleData), sampleFile, format)
}
