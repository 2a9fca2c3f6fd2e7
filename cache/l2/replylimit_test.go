package l2

import (
	"strings"
	"testing"
)

func TestReplyScanner(t *testing.T) {
	tests := map[string]struct {
		stream string
		want   bool
	}{
		"status":                       {"+OK\r\n", true},
		"bulk at the bound":            {"$10\r\n0123456789\r\n+OK\r\n", true},
		"bulk beyond the bound":        {"$11\r\n", false},
		"bulk with a plus":             {"$+11\r\n", false},
		"bulk with zeros":              {"$00000011\r\n", false},
		"null bulk":                    {"$-1\r\n$11\r\n", false},
		"512 MiB":                      {"$536870912\r\n", false},
		"beyond 64 bits":               {"$99999999999999999999999\r\n", false},
		"verbatim and blob error":      {"=11\r\n", false},
		"payload that looks like bulk": {"$5\r\n$99\r\n\r\n$3\r\nabc\r\n", true},
		"array of bulks":               {"*2\r\n$3\r\nabc\r\n$11\r\n", false},
		"array beyond the bound":       {"*65537\r\n", false},
		"RESP 3 map and push":          {"%1\r\n+a\r\n:1\r\n>65537\r\n", false},
		"large integer":                {":99999999999\r\n-ERR 99999999\r\n+99999999 bytes\r\n", true},
		"endless line":                 {"+" + strings.Repeat("x", maxReplyLine+1), false},
		"garbage":                      {"HTTP/1.1 400 Bad Request\r\n\r\n", true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for _, chunk := range []int{1, 2, 3, 7, 1 << 20} {
				s, got := replyScanner{maxBulk: 10}, true
				for rest := test.stream; rest != "" && got; {
					n := min(chunk, len(rest))
					got = s.accept([]byte(rest[:n]))
					rest = rest[n:]
				}
				if got != test.want {
					t.Errorf("%q in chunks of %d: accepted %v, want %v", clip(test.stream), chunk, got, test.want)
				}
			}
		})
	}
}

// Whatever the stream and its cut, the scanner decides the same.
func FuzzReplyScanner(f *testing.F) {
	f.Add([]byte("*2\r\n$3\r\nabc\r\n$11\r\n"), 3)
	f.Fuzz(func(t *testing.T, stream []byte, cut int) {
		whole := replyScanner{maxBulk: 1000}
		want := whole.accept(stream)
		cut = min(max(cut, 0), len(stream))
		parts := replyScanner{maxBulk: 1000}
		if got := parts.accept(stream[:cut]) && parts.accept(stream[cut:]); got != want {
			t.Errorf("cut at %d: %v, whole: %v", cut, got, want)
		}
		if whole.skip > 1002 {
			t.Errorf("skips %d bytes", whole.skip)
		}
	})
}
