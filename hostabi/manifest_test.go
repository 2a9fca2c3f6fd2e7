package hostabi

import (
	"encoding/json"
	"strings"
	"testing"
)

// FuzzManifest: whatever a module says of itself, reading it does not panic,
// and what is let pass has a config that its own schema lets pass.
func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"name":"a","abi":1,"kinds":["ttl"],"features":["size","x?"],"config":{"k":{"type":"number","default":1,"min":0}}}`))
	f.Add([]byte(`{"name":"a","abi":1,"kinds":["eviction"],"metrics":[{"name":"m","type":"gauge"}],"max_batch":7}`))
	f.Add([]byte(`{"name":"a","config":{"k":{"type":"string","default":"x","enum":["x",1,null,[]]}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parseManifest(text)
		if err != nil {
			return
		}
		config, err := m.config(nil)
		if err != nil {
			t.Fatalf("defaults are refused: %v", err)
		}
		var all map[string]any
		if err := json.Unmarshal(config, &all); err != nil || len(all) != len(m.Config) {
			t.Fatalf("config %s: %v", config, err)
		}
		if len(m.Kinds) == 0 || m.MaxBatch == 0 || strings.ContainsAny(m.Name, "/\\ \n") {
			t.Fatalf("let pass: %+v", m)
		}
	})
}

func TestSanitize(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                                  "plain",
		"a\nb\tc":                                `a\x0ab\x09c`,
		"\x1b]0;title\x07":                       `\x1b]0;title\x07`,
		"bad \xff byte":                          "bad \uFFFD byte",
		"\u202Eright":                            `\u202eright`,
		"é and \u0085":                           `é and \u0085`,
		"longer than thirty bytes, so it is cut": "longer than thirty bytes, so i",
	} {
		if got := sanitize(in, 30); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
