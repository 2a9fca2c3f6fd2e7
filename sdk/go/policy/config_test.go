package policy

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
)

var testSchema = Schema{
	"rate":   Number(0.5, "").Between(0, 1),
	"count":  Integer(3, ""),
	"strict": Boolean(false, ""),
	"mode":   String("fast", "").OneOf("fast", "slow"),
	"free":   String("", ""),
}

func TestConfigOverlaysDefaults(t *testing.T) {
	c, err := NewConfig(testSchema, ` { "rate" : 0.25, "strict":true , "free":"a\"\\\u00e9\ud83d\ude00\n" } `, 7)
	if err != nil {
		t.Fatal(err)
	}
	if c.Number("rate") != 0.25 || c.Integer("count") != 3 || !c.Boolean("strict") || c.String("mode") != "fast" ||
		c.String("free") != "a\"\\é😀\n" || c.Seed() != 7 {
		t.Errorf("config is %+v", c.values)
	}
}

func TestConfigErrorsNameTheSetting(t *testing.T) {
	for text, want := range map[string]string{
		`{"rat": 1}`:          `setting "rat": unknown`,
		`{"rate": 2}`:         `setting "rate": 2 is not in 0..1`,
		`{"rate": true}`:      `setting "rate": want a number`,
		`{"count": 1.5}`:      `setting "count": want a whole number`,
		`{"strict": "yes"}`:   `setting "strict": want a boolean`,
		`{"mode": "slowish"}`: `setting "mode": "slowish" is not one of`,
		`{"rate": [1]}`:       "want one JSON object",
		`{"rate": 1`:          "want one JSON object",
		`{"rate": 1} x`:       "want one JSON object",
		`[]`:                  "want one JSON object",
	} {
		if _, err := NewConfig(testSchema, text, 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("config %s: error %v, want one with %q", text, err, want)
		}
	}
}

func TestConfigPanicsOnWhatTheSchemaDoesNotHave(t *testing.T) {
	c, _ := NewConfig(testSchema, "", 0)
	for name, read := range map[string]func(){
		`setting "nope" is not in Manifest.Config`: func() { c.Number("nope") },
		`setting "rate" is a number, not a string`: func() { c.String("rate") },
	} {
		func() {
			defer func() {
				if r, _ := recover().(string); !strings.Contains(r, name) {
					t.Errorf("panic %q: want one with %q", r, name)
				}
			}()
			read()
		}()
	}
}

// Whatever the host's encoder can write about a setting is read back.
func FuzzConfig(f *testing.F) {
	f.Add("plain", 1.5, true)
	f.Add("\x00\u2028\U0001F600\"\\/", -0.0, false)
	f.Add("", 1e300, true)
	schema := Schema{"s": String("", ""), "n": Number(0, ""), "b": Boolean(false, "")}
	f.Fuzz(func(t *testing.T, s string, n float64, b bool) {
		if math.IsNaN(n) || math.IsInf(n, 0) {
			return
		}
		text, err := json.Marshal(map[string]any{"s": s, "n": n, "b": b})
		if err != nil {
			return
		}
		var want struct{ S string }
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		c, err := NewConfig(schema, string(text), 0)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if c.String("s") != want.S || c.Number("n") != n || c.Boolean("b") != b {
			t.Errorf("%s was read as %q, %v, %v", text, c.String("s"), c.Number("n"), c.Boolean("b"))
		}
		NewConfig(schema, s, 0)
	})
}
