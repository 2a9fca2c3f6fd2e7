package l2

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"pgregory.net/rapid"
)

var noon = time.Unix(1_700_000_000, 0)

func sampleEntry(value []byte) Entry {
	return Entry{
		Value: value, Codec: 3, Created: noon, FreshUntil: noon.Add(time.Minute), Expires: noon.Add(time.Hour),
		LoadCost: 1500 * time.Microsecond, Changed: 2, Unchanged: 7,
	}
}

func TestEnvelopeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Entry{
			Value:      rapid.SliceOf(rapid.Byte()).Draw(t, "value"),
			Codec:      rapid.Uint8Range(1, 255).Draw(t, "codec"),
			Created:    noon,
			FreshUntil: noon.Add(time.Duration(rapid.Int64Range(-1e12, 1e12).Draw(t, "fresh"))),
			LoadCost:   time.Duration(rapid.Int64Range(0, 1e6).Draw(t, "cost")) * time.Microsecond,
			Changed:    rapid.Uint16().Draw(t, "changed"),
			Unchanged:  rapid.Uint16().Draw(t, "unchanged"),
		}
		want.Expires = noon.Add(time.Duration(1e12 + rapid.Int64Range(1, 1e12).Draw(t, "life")))
		key := rapid.String().Draw(t, "key")
		prefix := rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(t, "prefix")
		sealed := Seal(bytes.Clone(prefix), key, want)
		if len(sealed) != len(prefix)+EnvelopeBytes+len(want.Value) {
			t.Fatalf("sealed has %d bytes", len(sealed))
		}
		got, err := Open(sealed[len(prefix):], Opening{Key: key, Now: noon})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Value, want.Value) {
			t.Fatalf("value %q, want %q", got.Value, want.Value)
		}
		same := got.Created.Equal(want.Created) && got.FreshUntil.Equal(want.FreshUntil) && got.Expires.Equal(want.Expires) &&
			got.Codec == want.Codec && got.LoadCost == want.LoadCost && got.Changed == want.Changed && got.Unchanged == want.Unchanged
		if !same {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	})
}

// Every single bit of 1,000 entries is flipped.
func TestEnvelopeNoticesEveryFlippedBit(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 1000 {
		value := make([]byte, rng.IntN(48))
		for j := range value {
			value[j] = byte(rng.Uint32())
		}
		key := "key " + strconv.Itoa(i)
		sealed := Seal(nil, key, sampleEntry(value))
		for bit := range len(sealed) * 8 {
			sealed[bit/8] ^= 1 << (bit % 8)
			if _, err := Open(sealed, Opening{Key: key, Now: noon}); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("entry %d of %d bytes, bit %d flipped: error %v, want ErrCorrupt", i, len(sealed), bit, err)
			}
			sealed[bit/8] ^= 1 << (bit % 8)
		}
	}
}

// forge builds an envelope whose checksum is right and whose header is not.
func forge(key string, change func(head []byte)) []byte {
	b := Seal(nil, key, sampleEntry([]byte("value")))
	change(b[:checksumAt])
	binary.LittleEndian.PutUint64(b[checksumAt:], xxhash.Sum64(append(bytes.Clone(b[:checksumAt]), b[EnvelopeBytes:]...)))
	return b
}

func TestOpenRefusesForgeries(t *testing.T) {
	put := binary.LittleEndian.PutUint64
	at := func(d time.Duration) uint64 { return uint64(noon.Add(d).UnixNano()) }
	tests := map[string]struct {
		bytes []byte
		want  error
	}{
		"whole":               {forge("k", func([]byte) {}), nil},
		"empty":               {nil, ErrCorrupt},
		"short":               {Seal(nil, "k", sampleEntry(nil))[:EnvelopeBytes-1], ErrCorrupt},
		"truncated value":     {Seal(nil, "k", sampleEntry([]byte("value")))[:EnvelopeBytes+2], ErrCorrupt},
		"one byte too many":   {append(Seal(nil, "k", sampleEntry([]byte("value"))), 0), ErrCorrupt},
		"another key's":       {Seal(nil, "other", sampleEntry([]byte("value"))), ErrCorrupt},
		"magic":               {forge("k", func(h []byte) { h[0] = 'X' }), ErrCorrupt},
		"later version":       {forge("k", func(h []byte) { h[4] = 2 }), ErrCorrupt},
		"no codec":            {forge("k", func(h []byte) { h[5] = 0 }), ErrCorrupt},
		"reserved flag":       {forge("k", func(h []byte) { h[6] = 1 }), ErrCorrupt},
		"reserved word":       {forge("k", func(h []byte) { h[52] = 1 }), ErrCorrupt},
		"length of 4 GiB":     {forge("k", func(h []byte) { binary.LittleEndian.PutUint32(h[48:], 1<<32-1) }), ErrCorrupt},
		"created in future":   {forge("k", func(h []byte) { put(h[16:], at(MaxSkew+time.Second)) }), ErrCorrupt},
		"created a bit ahead": {forge("k", func(h []byte) { put(h[16:], at(MaxSkew-time.Second)) }), nil},
		"ends before it is":   {forge("k", func(h []byte) { put(h[32:], at(-time.Second)) }), ErrCorrupt},
		"over": {forge("k", func(h []byte) {
			put(h[16:], at(-time.Hour))
			put(h[32:], at(-time.Second))
		}), ErrExpired},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := Open(test.bytes, Opening{Key: "k", Now: noon}); !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
		})
	}
}

func TestOpenClampsTimes(t *testing.T) {
	b := forge("k", func(h []byte) {
		binary.LittleEndian.PutUint64(h[24:], uint64(noon.Add(900*time.Hour).UnixNano()))
		binary.LittleEndian.PutUint64(h[32:], uint64(noon.Add(1000*time.Hour).UnixNano()))
	})
	e, err := Open(b, Opening{Key: "k", Now: noon, MaxTTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if want := noon.Add(time.Hour); !e.Expires.Equal(want) || !e.FreshUntil.Equal(want) {
		t.Errorf("expires %v, fresh until %v, want both %v", e.Expires, e.FreshUntil, want)
	}
}

func TestOpenAllocatesNothing(t *testing.T) {
	b := Seal(nil, "k", sampleEntry(make([]byte, 1<<16)))
	if n := testing.AllocsPerRun(100, func() { Open(b, Opening{Key: "k", Now: noon, MaxTTL: time.Hour}) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(Seal(nil, "k", sampleEntry([]byte("value"))), "k")
	f.Add(forge("k", func(h []byte) { h[51] = 255 }), "k")
	f.Add([]byte(magic), "")
	f.Fuzz(func(t *testing.T, b []byte, key string) {
		e, err := Open(b, Opening{Key: key, Now: noon, MaxTTL: time.Hour})
		if err != nil {
			return
		}
		if len(e.Value) != len(b)-EnvelopeBytes || e.Expires.After(noon.Add(time.Hour)) || e.FreshUntil.After(e.Expires) || !e.Expires.After(noon) {
			t.Errorf("accepted %+v", e)
		}
	})
}
