package tiered

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func TestCodecsRoundTrip(t *testing.T) {
	type point struct {
		X int
		Y []string
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		prefix := rapid.SliceOf(rapid.Byte()).Draw(t, "prefix")
		b, err := String().Encode(bytes.Clone(prefix), text)
		if err != nil || !bytes.HasPrefix(b, prefix) {
			t.Fatalf("%q, %v: the prefix is gone", b, err)
		}
		if got, err := String().Decode(b[len(prefix):]); err != nil || got != text {
			t.Fatalf("string %q, %v", got, err)
		}
		b, _ = Bytes().Encode(bytes.Clone(prefix), []byte(text))
		if got, err := Bytes().Decode(b[len(prefix):]); err != nil || string(got) != text {
			t.Fatalf("bytes %q, %v", got, err)
		}
		want := point{rapid.Int().Draw(t, "x"), []string{"a"}}
		b, err = JSON[point]().Encode(bytes.Clone(prefix), want)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := JSON[point]().Decode(b[len(prefix):]); err != nil || got.X != want.X || got.Y[0] != "a" {
			t.Fatalf("JSON %+v, %v", got, err)
		}
	})
	if _, err := JSON[point]().Decode([]byte("{")); err == nil {
		t.Error("broken JSON decoded")
	}
	if _, err := JSON[func()]().Encode(nil, nil); err == nil {
		t.Error("a function was encoded")
	}
}
