package trace

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

func keys(v ...uint64) []Access {
	var out []Access
	for _, k := range v {
		out = append(out, Access{Key: k})
	}
	return out
}

func at(seconds float64, key uint64, size uint32) Access {
	return Access{Time: time.Duration(seconds * float64(time.Second)), Key: key, Size: size, HasTime: true, HasSize: true}
}

// oracleRecord is 1.5 s cut to 1 s, key 0x0807060504030201, size 9, next -1.
var oracleRecord = []byte{1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255}

func TestReadsEveryFormat(t *testing.T) {
	for _, tt := range []struct {
		name string // of the file
		data string
		want []Access
	}{
		{"a.lirs", "5\n*\n\n 7 \r\n5", keys(5, 7, 5)},
		{"a.arc", "10 3 0 0\n7 1 9 1\n\n8 0 0 2\n18446744073709551614 1 0 3\n", keys(10, 11, 12, 7, 18446744073709551614)},
		{"a.csv", "time,key,size\n1,2,3\n\n1.5,\"a,\"\"b\",4,more\n2,x y,\n", []Access{
			at(1, 2, 3), at(1.5, xxhash.Sum64String(`a,"b`), 4), {Time: 2 * time.Second, Key: xxhash.Sum64String("x y"), HasTime: true}}},
		{"a.csv", ",9,1\n", []Access{{Key: 9, Size: 1, HasSize: true}}},
		{"a.csv", "1,007,99999999999\n", []Access{at(1, xxhash.Sum64String("007"), 1<<32-1)}},
		{"a.txt", "0 7 68\n0.000000001 x 1\n3\t8\n", []Access{
			at(0, 7, 68), {Time: 1, Key: xxhash.Sum64String("x"), Size: 1, HasTime: true, HasSize: true}, {Time: 3 * time.Second, Key: 8, HasTime: true}}},
		{"a.jsonl", `{"timestamp": 250, "input_length": 6, "hash_ids": [4, 5]}` + "\n\n" + `{"hash_ids":[]}` + "\n" + `{"hash_ids":[6]}`, []Access{
			{Time: 250 * time.Millisecond, Key: 4, HasTime: true}, {Time: 250 * time.Millisecond, Key: 5, HasTime: true}, {Key: 6}}},
		{"a.be32", "\x00\x00\x00\x01\xff\xff\xff\xff", keys(1, 1<<32-1)},
		{"a.be64", "\x00\x00\x00\x00\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00\x00\x00", keys(1, 1<<56)},
		{"a.oracleGeneral.bin", string(oracleRecord), []Access{at(1, 0x0807060504030201, 9)}},
		{"a.be32", "", nil},
		{"a.lirs", "", nil},
	} {
		for _, c := range compressions {
			r, err := New(bytes.NewReader(c.pack(t, []byte(tt.data))), tt.name+c.suffix, "")
			if err != nil {
				t.Fatalf("%s%s: %v", tt.name, c.suffix, err)
			}
			if got := readAll(t, r); !slices.Equal(got, tt.want) {
				t.Errorf("%s%s %q:\n got %+v\nwant %+v", tt.name, c.suffix, tt.data, got, tt.want)
			}
			if r.Name() != "a" {
				t.Errorf("%s%s: name %q, want %q", tt.name, c.suffix, r.Name(), "a")
			}
			if err := r.Close(); err != nil {
				t.Errorf("%s%s: closing: %v", tt.name, c.suffix, err)
			}
		}
	}
}

var compressions = []struct {
	suffix string
	pack   func(t *testing.T, b []byte) []byte
}{
	{"", func(_ *testing.T, b []byte) []byte { return b }},
	{".gz", func(t *testing.T, b []byte) []byte {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		return packed(t, w, &out, b)
	}},
	{".xz", func(t *testing.T, b []byte) []byte {
		var out bytes.Buffer
		w, err := xz.NewWriter(&out)
		if err != nil {
			t.Fatal(err)
		}
		return packed(t, w, &out, b)
	}},
	{".zst", func(t *testing.T, b []byte) []byte {
		var out bytes.Buffer
		w, err := zstd.NewWriter(&out)
		if err != nil {
			t.Fatal(err)
		}
		return packed(t, w, &out, b)
	}},
}

func packed(t *testing.T, w io.WriteCloser, out *bytes.Buffer, b []byte) []byte {
	t.Helper()
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestErrorsSayWhere(t *testing.T) {
	long := strings.Repeat("1", maxLineBytes+1)
	for _, tt := range []struct{ name, data, want string }{
		{"a.lirs", "1\n2\nx\n", `a.lirs: line 3: want a decimal key, got "x"`},
		{"a.lirs", "-1\n", `a.lirs: line 1: want a decimal key, got "-1"`},
		{"a.lirs", "18446744073709551616\n", `a.lirs: line 1: want a decimal key, got "18446744073709551616"`},
		{"a.lirs", "1\n" + long, `a.lirs: line 2: the line is longer than 65536 bytes`},
		{"a.arc", "1 1 0 0\n1 1 0\n", `a.arc: line 2: want 4 numbers (start count ignored sequence), got "1 1 0"`},
		{"a.arc", "1 1 0 0 0\n", `a.arc: line 1: want 4 numbers (start count ignored sequence), got "1 1 0 0 0"`},
		{"a.arc", "1 9999999 0 0\n", `a.arc: line 1: a run of 9999999 keys from 1: want at most 1048576 and no key above 64 bits`},
		{"a.arc", "18446744073709551615 2 0 0\n", `a.arc: line 1: a run of 2 keys from 18446744073709551615: want at most 1048576 and no key above 64 bits`},
		{"a.csv", "1,2,3\nx,2,3\n", `a.csv: line 2: time "x": want seconds, up to 9223372035`},
		{"a.csv", "1,2,3\n1700000000000,2,3\n", `a.csv: line 2: time "1700000000000": want seconds, up to 9223372035`},
		{"a.csv", "1,2,big\n", `a.csv: line 1: size "big": want bytes as a decimal number`},
		{"a.csv", "1\n", `a.csv: line 1: want time, key and size, got "1"`},
		{"a.csv", "1,\"k,3\n", `a.csv: line 1: a quoted field does not end as it should: "1,\"k,3"`},
		{"a.txt", "1 2 3\n1. 2 3\n", `a.txt: line 2: time "1.": want seconds, up to 9223372035`},
		{"a.jsonl", "{\"hash_ids\":[1]}\n{\"hash_ids\":[1.5]}", `a.jsonl: line 2: want a JSON object with timestamp and hash_ids: json: cannot unmarshal number 1.5 into Go struct field mooncakeRequest.hash_ids of type uint64`},
		{"a.jsonl", "{\"timestamp\":1}", `a.jsonl: line 1: want a JSON object with timestamp and hash_ids: hash_ids is missing`},
		{"a.jsonl", "{\"timestamp\":-1,\"hash_ids\":[1]}", `a.jsonl: line 1: timestamp -1: want milliseconds from 0 on`},
		{"a.be32", "\x00\x00\x00\x01\x02", `a.be32: record 2: truncated: 1 of 4 bytes`},
		{"a.oracleGeneral", string(oracleRecord[:23]), `a.oracleGeneral: record 1: truncated: 23 of 24 bytes`},
	} {
		r, err := New(strings.NewReader(tt.data), tt.name, "")
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		var got error
		for _, got = range r.All() {
		}
		if got == nil || got.Error() != tt.want {
			t.Errorf("%s %.40q:\n got %v\nwant %s", tt.name, tt.data, got, tt.want)
		}
		var syntax *SyntaxError
		if !errors.As(got, &syntax) {
			t.Errorf("%s: error of type %T, want *SyntaxError", tt.name, got)
		}
		if _, again := r.Read(); !errors.Is(again, got) {
			t.Errorf("%s: a second read says %v, want the same error", tt.name, again)
		}
	}
}

func TestDamagedCompressionIsAnError(t *testing.T) {
	plain := []byte(strings.Repeat("12345\n67\n", 5000))
	for _, c := range compressions[1:] {
		whole := c.pack(t, plain)
		r, err := New(bytes.NewReader(whole[:len(whole)-9]), "a.lirs"+c.suffix, "")
		if err != nil {
			continue // found at once: good
		}
		var last error
		for _, last = range r.All() {
		}
		var syntax *SyntaxError
		if !errors.As(last, &syntax) {
			t.Errorf("%s cut short: %v, want a *SyntaxError", c.suffix, last)
		}
	}
}

func TestXZDictionaryIsBounded(t *testing.T) {
	whole := compressions[2].pack(t, []byte("1\n2\n"))
	huge := slices.Clone(whole)
	i := bytes.Index(huge[12:], []byte{0x21, 1}) + 12 + 2
	huge[i] = 40 // 4 GiB - 1
	if _, err := New(bytes.NewReader(huge), "a.lirs.xz", ""); err == nil || !strings.Contains(err.Error(), "larger than 128 MiB") {
		t.Errorf("a dictionary of 4 GiB: %v, want a refusal", err)
	}
}

func TestFormatIsToldFromName(t *testing.T) {
	for _, tt := range []struct {
		path  string
		want  Format
		short string
	}{
		{"dir.arc/oltp.lirs.gz", LIRS, "oltp"},
		{"web.BE32.xz", BE32, "web"},
		{"cloud.oracleGeneral.bin", Oracle, "cloud"},
		{"v1.2.oracleGeneral.zst", Oracle, "v1.2"},
		{"a.jsonl", Mooncake, "a"},
		{"a.txt.xz", Spaced, "a"},
		{"a.gz", "", "a"},
		{"plain", "", "plain"},
		{".csv", CSV, ".csv"},
	} {
		got, err := formatOf(tt.path, "")
		if got != tt.want || err != nil {
			t.Errorf("formatOf(%q) = %q, %v; want %q", tt.path, got, err, tt.want)
		}
		if got := shortName(tt.path); got != tt.short {
			t.Errorf("shortName(%q) = %q, want %q", tt.path, got, tt.short)
		}
	}
}

func TestFormatIsToldFromContent(t *testing.T) {
	many := strings.Repeat("1700000000,key,12\n", 4000) // more than what is looked at
	for _, tt := range []struct {
		data string
		want Format
	}{
		{"1\n2\n*\n3", LIRS},
		{"1 1 0 0\n2 3 0 1\n", ARC},
		{"0 1 68\n1 2 3\n", Spaced},
		{"0.5 a 68\n", Spaced},
		{"1,2,3\n", CSV},
		{"timestamp,key,size\n1,2,3\n", CSV},
		{many, CSV},
		{`{"timestamp":0,"hash_ids":[1]}`, Mooncake},
		{string(oracleRecord), Oracle},
		{"", ""},
		{"hello world\n", ""},
		{"1\n1 2 3 4\n", ""},
		{"\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00\x04\x00\x00\x00\x05\x00\x00\x00\x06", ""},
		{`{"a":1}`, ""},
	} {
		r, err := New(strings.NewReader(tt.data), "noname", "")
		var unknown *UnknownFormatError
		switch {
		case tt.want == "" && !errors.As(err, &unknown):
			t.Errorf("%.40q: %v, want an *UnknownFormatError", tt.data, err)
		case tt.want != "" && err != nil:
			t.Errorf("%.40q: %v, want %s", tt.data, err, tt.want)
		case tt.want != "" && r.Format() != tt.want:
			t.Errorf("%.40q: %s, want %s", tt.data, r.Format(), tt.want)
		}
	}
}

func TestUnknownFormatListsTheFormats(t *testing.T) {
	_, err := New(strings.NewReader("\x01"), "mystery.gz.dat", "")
	want := "mystery.gz.dat: the format cannot be told from name or content; name it: oracle, arc, lirs, csv, spaced, mooncake, be32 or be64"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	_, err = Open("whatever", "arcc")
	want = `opening a trace: open whatever: no such file or directory`
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	_, err = Open(SampleName, "arcc")
	want = `unknown trace format "arcc": want auto, oracle, arc, lirs, csv, spaced, mooncake, be32 or be64`
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestAskedFormatWins(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.csv")
	if err := os.WriteFile(path, []byte("\x00\x00\x00\x07"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Open(path, "be32")
	if err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, r); !slices.Equal(got, keys(7)) {
		t.Errorf("got %v, want key 7", got)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
	if _, err := r.Read(); err == nil {
		t.Error("reading after the end and Close: no error")
	}
}
