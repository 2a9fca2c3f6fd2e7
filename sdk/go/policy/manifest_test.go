package policy

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestManifestIsTheJSONThatHostsRead(t *testing.T) {
	g, err := newGuest(Manifest{
		Name: "heat", Version: `1 "beta"`, Columns: []Column{BaseTTL, RateSlow}, Optional: []Column{Changed}, MaxBatch: 256,
		Config: Schema{
			"strict":  Boolean(true, "keeps to the rules"),
			"factor":  Number(1.5, "tab\there").Between(1, 4),
			"history": Integer(12, ""),
			"mode":    String("fast", "").OneOf("fast", "slow"),
		},
		Gauges:   []*Gauge{NewGauge("hot_keys", "keys that are hot")},
		Counters: []*Counter{NewCounter("stretched_total", "")},
	}, staticTTL{})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"name":"heat","version":"1 \"beta\"","abi":1,"kinds":["ttl"],"features":["base_ttl_s","rate_slow","changed?"],` +
		`"max_batch":256,"state_version":0,"config":{"factor":{"type":"number","default":1.5,"min":1,"max":4,"doc":"tab\u0009here"},` +
		`"history":{"type":"integer","default":12},"mode":{"type":"string","default":"fast","enum":["fast","slow"]},` +
		`"strict":{"type":"boolean","default":true,"doc":"keeps to the rules"}},` +
		`"metrics":[{"name":"hot_keys","type":"gauge","help":"keys that are hot"},{"name":"stretched_total","type":"counter","help":""}],"sdk":"go/1"}`
	if string(g.text) != want {
		t.Errorf("manifest is\n%s\nwant\n%s", g.text, want)
	}
	if !json.Valid(g.text) {
		t.Error("manifest is not JSON")
	}
}

func TestMetricsAreNumberedGaugesFirst(t *testing.T) {
	gauge, counter := NewGauge("a", ""), NewCounter("b_total", "")
	if _, err := newGuest(Manifest{Name: "x", Gauges: []*Gauge{gauge}, Counters: []*Counter{counter}}, staticTTL{}); err != nil {
		t.Fatal(err)
	}
	gauge.Set(3)
	counter.Add(2)
	counter.Add(5)
	if gauge.id != 0 || counter.id != 1 || gauge.Value() != 3 || counter.Value() != 7 {
		t.Errorf("ids %d, %d, values %v, %v: want 0, 1, 3, 7", gauge.id, counter.id, gauge.Value(), counter.Value())
	}
}

// A module grows by half with fmt or encoding/json; an author may import them,
// the SDK must not.
func TestGuestsDoNotPayForFormatting(t *testing.T) {
	list := exec.Command("go", "list", "-deps", ".")
	list.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range strings.Fields(string(out)) {
		switch pkg {
		case "fmt", "reflect", "encoding/json", "encoding/binary", "os", "time":
			t.Errorf("package policy depends on %s", pkg)
		}
	}
}

func TestREADMEListsEveryColumn(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range columnNames {
		if !strings.Contains(string(readme), "| `"+name+"` |") {
			t.Errorf("README.md has no row for the column %s", name)
		}
	}
}
