package cache

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// TestTableAgreesWithAMap uses hashes of few values, so that search paths
// overlap, fill up and wrap around.
func TestTableAgreesWithAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.IntRange(1, 20).Draw(t, "lines")
		tab := newTable[int, int](lines)
		hashes := rapid.IntRange(1, 30).Draw(t, "hashes")
		hash := func(k int) uint64 { return mix(uint64(k%hashes)^mixA, mixB) }
		model := map[int]uint32{}
		key := rapid.IntRange(0, 200)
		t.Repeat(map[string]func(*rapid.T){
			"insert": func(t *rapid.T) {
				k := key.Draw(t, "k")
				if _, in := model[k]; in {
					t.Skip("present")
				}
				if pos, ok := tab.insert(hash(k), newEntry(k, k, neverTick)); ok {
					model[k] = pos
				} else if len(model) < min(lines, maxProbe)*lineSlots && lines <= maxProbe {
					t.Fatalf("no place among %d lines with %d entries", lines, len(model))
				}
			},
			"remove": func(t *rapid.T) {
				k := key.Draw(t, "k")
				if pos, in := model[k]; in {
					tab.remove(hash(k), pos)
					delete(model, k)
				}
			},
			"": func(t *rapid.T) {
				for k := range 201 {
					e, pos := tab.find(hash(k), k)
					want, in := model[k]
					if (e != nil) != in || in && (e.key != k || pos != want || tab.at(pos) != e) {
						t.Fatalf("key %d: %v at %d, want %d, %t", k, e, pos, want, in)
					}
				}
			},
		})
	})
}

func TestOverflowCountsReturnToZero(t *testing.T) {
	tab := newTable[int, int](8)
	var at []uint32
	for k := range 50 {
		pos, ok := tab.insert(0, newEntry(k, k, 0))
		if !ok {
			t.Fatal("no place")
		}
		at = append(at, pos)
	}
	for _, pos := range at {
		tab.remove(0, pos)
	}
	for i := range tab.lines {
		if m := tab.lines[i].meta.Load(); m != 0 {
			t.Errorf("line %d: %x", i, m)
		}
	}
}

func TestMatchTagFindsEachByte(t *testing.T) {
	for tag := uint64(1); tag < 256; tag++ {
		for p := range lineSlots {
			bit := uint64(0x80) << (8 * p)
			if m := matchTag(tag<<(8*p)|0xFF<<56, tag); m&bit == 0 || m&(bit-1) != 0 || m>>56 != 0 {
				t.Fatalf("tag %x at %d: %x", tag, p, m)
			}
		}
	}
}

func TestHashes(t *testing.T) {
	type name string
	type id int64
	type point struct{ x, y int32 }
	strings, named := newHasher[string](1, nil), newHasher[name](1, nil)
	words, ids := newHasher[uint64](1, nil), newHasher[id](1, nil)
	points := newHasher[point](1, nil)
	seen := map[uint64]string{}
	note := func(h uint64, what string) {
		if old, in := seen[h]; in {
			t.Errorf("%s and %s have the hash %x", what, old, h)
		}
		seen[h] = what
	}
	text := ""
	for n := range 100 {
		note(strings.index(text), fmt.Sprintf("%d letters", n))
		if strings.index(text) != named.index(name(text)) {
			t.Errorf("%d letters: a named string type hashes differently", n)
		}
		note(words.index(uint64(n)), fmt.Sprintf("the number %d", n))
		if words.index(uint64(n)) != ids.index(id(n)) {
			t.Errorf("%d: a named integer type hashes differently", n)
		}
		p, same := point{int32(n), 2}, point{int32(n), 2}
		if points.index(p) != points.index(same) {
			t.Errorf("%v has two hashes", p)
		}
		text += "x"
	}
	other := newHasher[string](2, nil)
	if strings.index("a") == other.index("a") {
		t.Error("the salt changes nothing")
	}
	again := newHasher[string](1, nil)
	if strings.index("a") != again.index("a") {
		t.Error("one salt gives two hashes")
	}
}
