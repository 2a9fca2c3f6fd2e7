package trace

import (
	"bytes"
	"errors"
	"testing"
)

// fuzzFormat feeds arbitrary bytes to the reader of one format: it must end
// with io.EOF or a *SyntaxError, never panic, and never make more accesses
// than the bytes can stand for.
func fuzzFormat(f *testing.F, format Format, most func(bytes int) int, seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if compressed(data) {
			t.Skip("FuzzCompressed's")
		}
		r, err := New(bytes.NewReader(data), "fuzz", string(format))
		if err != nil {
			t.Fatalf("opening: %v", err)
		}
		count, limit := 0, most(len(data))
		for _, err := range r.All() {
			var syntax *SyntaxError
			if err != nil && !errors.As(err, &syntax) {
				t.Fatalf("error of type %T: %v", err, err)
			}
			if count++; count > limit+1 {
				t.Fatalf("%d accesses from %d bytes", count, len(data))
			}
		}
	})
}

func compressed(data []byte) bool {
	return bytes.HasPrefix(data, gzipMagic) || bytes.HasPrefix(data, xzMagic) || bytes.HasPrefix(data, zstdMagic)
}

func linear(n int) int { return n }

func FuzzOracle(f *testing.F) {
	fuzzFormat(f, Oracle, linear, string(oracleRecord), string(oracleRecord[:20]))
}

func FuzzARC(f *testing.F) {
	// A run of 2^20 keys takes at least 14 bytes.
	fuzzFormat(f, ARC, func(n int) int { return (n/14 + 1) * maxRun }, "10 3 0 0\n7 1 9 1\n", "1 1048576 0 0", "18446744073709551615 1 0 0")
}

func FuzzLIRS(f *testing.F) { fuzzFormat(f, LIRS, linear, "1\n*\n2\n", "\r\n \n9") }

func FuzzCSV(f *testing.F) {
	fuzzFormat(f, CSV, linear, "time,key,size\n1,2,3\n", "1.5,\"a\"\"b\",4", "\"", ",,", "1,\"x\"y,2")
}

func FuzzSpaced(f *testing.F) {
	fuzzFormat(f, Spaced, linear, "1 0 68\n", "1.5 key", "9223372035.999999999 1 1")
}

func FuzzMooncake(f *testing.F) {
	fuzzFormat(f, Mooncake, linear, `{"timestamp":1,"hash_ids":[1,2]}`, `{"timestamp":1e300,"hash_ids":[]}`, `null`)
}

func FuzzBE32(f *testing.F) { fuzzFormat(f, BE32, linear, "\x00\x00\x00\x01", "\x00") }

func FuzzBE64(f *testing.F) { fuzzFormat(f, BE64, linear, "\x00\x00\x00\x00\x00\x00\x00\x01", "\x00") }

// FuzzCompressed feeds arbitrary bytes to decompression and detection, and
// stops after so many accesses: a small file may stand for a long trace.
func FuzzCompressed(f *testing.F) {
	f.Add([]byte("\x1f\x8b\x08\x00"))
	f.Add([]byte("\x28\xb5\x2f\xfd\x00"))
	f.Add([]byte("\xfd7zXZ\x00\x00\x04\xe6\xd6\xb4\x46\x02\x00\x21\x01\x16\x00\x00\x00"))
	f.Add([]byte("1,2,3\n"))
	f.Add(sampleData[:1000])
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := New(bytes.NewReader(data), "fuzz", "")
		if err != nil {
			return
		}
		defer r.Close()
		buf := make([]Access, 1000)
		for range 100 {
			n, err := r.ReadBatch(buf)
			if (n == 0) != (err != nil) {
				t.Fatalf("ReadBatch = %d, %v", n, err)
			}
			if err != nil {
				return
			}
		}
	})
}
