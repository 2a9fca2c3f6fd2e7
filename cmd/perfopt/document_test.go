package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// layOutText lays out a JSON document.
func layOutText(t testing.TB, text string) string {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	v, err := decodeOrdered(d)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	var b strings.Builder
	layOut(&b, v, "")
	return b.String()
}

func TestDocumentsAreLaidOut(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:            "",
		`7`:             "7\n",
		`["a","b"]`:     "a\nb\n",
		`{"z":1,"a":2}`: "z  1\na  2\n",
		`{"on":true,"none":null,"empty":"","list":[],"map":{},"small":0.000012345,"large":123456.7,"neg":-5000}`: "" +
			"on     yes\nnone   -\nempty  -\nlist   -\nmap    -\nsmall  1.234e-05\nlarge  123,457\nneg    -5,000\n",
		`{"size_bytes":1536,"miss_ratio":0.12345}`: "size bytes  1.5 KiB\nmiss ratio  12.35 %\n",
		`{"rows":[{"k":"a","n":1},{"n":20,"x":true}]}`: "" +
			"rows\n  K   N  X\n  a   1\n     20  yes\n",
		`{"a":{"b":{"c":1}}}`: "a\n  b\n    c  1\n",
		`{"last":1.7976931348623157e308,"least":-9223372036854775808}`: "" +
			"last   1.798e+308\nleast  -9,223,372,036,854,775,808\n",
		`{"mixed":[1,{"a":[2]}]}`: "mixed\n  1\n  a  2\n",
	} {
		if got := layOutText(t, text); got != want {
			t.Errorf("%s\ngot\n%swant\n%s", text, got, want)
		}
	}
}

// Whatever a daemon answers is laid out without a panic, and nothing single is
// left out.
func FuzzLayOut(f *testing.F) {
	f.Add(`{"a":[{"b":[1,2,{"c":null}]}],"d":"x"}`)
	f.Add(`[[[[]]],{}]`)
	f.Add(`{"bytes":1e400,"ratio":-0.0}`)
	f.Fuzz(func(t *testing.T, text string) {
		if !json.Valid([]byte(text)) {
			return
		}
		layOutText(t, text)
	})
}
