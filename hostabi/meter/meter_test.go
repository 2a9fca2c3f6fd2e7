package meter_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perfopt/perfopt/hostabi/meter"
)

// modules returns the built modules of the repository by name.
func modules(t testing.TB) map[string][]byte {
	t.Helper()
	list := map[string][]byte{}
	for _, pattern := range []string{"../testdata/*.wasm", "../../policies/shipped/*.wasm"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			list[strings.TrimSuffix(filepath.Base(f), ".wasm")] = b
		}
	}
	return list
}

// builder writes modules that no assembler would.
type builder struct{ b []byte }

func newBuilder() *builder { return &builder{[]byte("\x00asm\x01\x00\x00\x00")} }

func (m *builder) section(id byte, payload ...byte) *builder {
	m.b = append(m.b, id)
	m.b = binary.AppendUvarint(m.b, uint64(len(payload)))
	m.b = append(m.b, payload...)
	return m
}

// function makes a module of one function () -> () with that code.
func function(code ...byte) []byte {
	body := append([]byte{0}, code...) // no locals
	code = append([]byte{1}, binary.AppendUvarint(nil, uint64(len(body)))...)
	return newBuilder().section(1, 1, 0x60, 0, 0).section(3, 1, 0).section(10, append(code, body...)...).b
}

func repeat(n int, unit ...byte) []byte { return bytes.Repeat(unit, n) }

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestParseRefuses(t *testing.T) {
	limits := meter.DefaultLimits()
	limits.Nesting, limits.Functions, limits.BranchTable, limits.Flow = 100, 50, 20, 800_000
	uv := func(n uint64) []byte { return binary.AppendUvarint(nil, n) }
	for name, c := range map[string]struct {
		module []byte
		says   string
	}{
		"component":         {[]byte("\x00asm\x0d\x00\x01\x00"), "component"},
		"section 13":        {newBuilder().section(13, 0).b, "unknown section 13"},
		"order":             {newBuilder().section(3, 0).section(1, 0).b, "out of order"},
		"twice":             {newBuilder().section(1, 0).section(1, 0).b, "there twice"},
		"longer":            {newBuilder().section(1, 0, 0).b, "1 bytes too many"},
		"shorter":           {newBuilder().section(1, 5).b, "do not fit what is left"},
		"without a body":    {newBuilder().section(1, 1, 0x60, 0, 0).section(3, 1, 0).b, "1 functions are declared and 0 have a body"},
		"functions":         {newBuilder().section(1, 1, 0x60, 0, 0).section(3, join(uv(51), repeat(51, 0))...).b, "51 functions, at most 50"},
		"a million":         {newBuilder().section(1, 1, 0x60, 0, 0).section(3, uv(1_000_000)...).b, "1000000 functions, at most 50"},
		"nesting":           {function(join(repeat(100, 0x02, 0x40), repeat(101, 0x0B))...), "nested deeper than 100"},
		"branch table":      {function(join([]byte{0x41, 0, 0x0E}, uv(21), repeat(22, 0), []byte{0x0B})...), "br_table with 21 targets, at most 20"},
		"flow":              {newBuilder().section(1, 1, 0x60, 0, 0).section(3, 1, 0).section(10, join([]byte{1}, uv(304), []byte{1}, uv(9000), []byte{0x7F}, repeat(99, 0x02, 0x40), repeat(99, 0x0B), []byte{0x01, 0x01, 0x0B})...).b, "9000 locals and 99 blocks and branches"},
		"label":             {function(0x0C, 1, 0x0B), "label 1 of 1"},
		"locals":            {newBuilder().section(1, 1, 0x60, 0, 0).section(3, 1, 0).section(10, 1, 8, 1, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0x7F, 0x0B).b, "more than 10000 locals"},
		"local":             {function(0x20, 0, 0x1A, 0x0B), "local 0 of 0"},
		"fuel of the host":  {function(0x42, 0, 0x24, 0, 0x0B), "global 0 of 0"},
		"call":              {function(0x10, 1, 0x0B), "function 1 of 1"},
		"type":              {function(0x02, 1, 0x0B, 0x0B), "block type 1 of 1"},
		"unfinished":        {function(0x02, 0x40, 0x0B), "unexpected end"},
		"behind the end":    {function(0x0B, 0x01), "code behind the end"},
		"else":              {function(0x02, 0x40, 0x05, 0x0B, 0x0B), "else without if"},
		"second memory":     {function(0x3F, 1, 0x1A, 0x0B), "one memory is supported"},
		"alignment":         {function(0x41, 0, 0x28, 0x40, 0, 0x1A, 0x0B), "alignment"},
		"tail call":         {function(0x12, 0, 0x0B), "tail calls are not supported"},
		"throw":             {function(0x08, 0, 0x0B), "exceptions are not supported"},
		"atomic":            {function(0xFE, 0, 0x0B), "threads are not supported"},
		"garbage collector": {function(0xFB, 0, 0x0B), "garbage collection are not supported"},
		"relaxed vector":    {function(0xFD, 0x80, 0x02, 0x0B), "relaxed vector instructions"},
		"hole of vectors":   {function(0xFD, 0x9A, 0x01, 0x0B), "unknown vector instruction 154"},
		"unknown":           {function(0xFF, 0x0B), "unknown instruction 0xff"},
		"unknown 0xfc":      {function(0xFC, 18, 0x0B), "unknown instruction 0xfc 18"},
		"long number":       {function(0x41, 0xFF, 0xFF, 0xFF, 0xFF, 0x3F, 0x1A, 0x0B), "does not fit 32 bits"},
		"long index":        {function(0x10, 0x80, 0x80, 0x80, 0x80, 0x10, 0x0B), "does not fit 32 bits"},
		"text":              {newBuilder().section(1, 0).section(7, 1, 2, 0xFF, 0xFE, 0, 0).b, "not UTF-8"},
		"reserved":          {newBuilder().section(5, 1, 0, 1).section(7, join([]byte{1, 6}, []byte("__pf_x"), []byte{2, 0})...).b, "reserved"},
		"shared memory":     {newBuilder().section(5, 1, 3, 1, 1).b, "threads are not supported"},
		"memory maximum":    {newBuilder().section(5, 1, 1, 2, 1).b, "maximum 1 below its minimum 2"},
		"two memories":      {newBuilder().section(5, 2, 0, 1, 0, 1).b, "2 memories, at most 1"},
		"start":             {newBuilder().section(8, 0).b, "function 0 of 0"},
		"data count":        {newBuilder().section(12, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F).b, "no data section"},
		"segment of none":   {function(0xFC, 9, 0, 0x0B), "data segment 0 of 0"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := meter.Parse(c.module, limits)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
}

func TestParseTellsWhatAModuleHas(t *testing.T) {
	m, err := meter.Parse(modules(t)["ttl-start"], meter.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	if !m.HasStart || !m.HasMemory || m.MemoryMin != 2 || m.MemoryMax != 0 || m.Functions != 6 {
		t.Errorf("%+v", m)
	}
	e, ok := m.Export("pf_ttl")
	if !ok || e.Kind != meter.ExternFunc || len(e.Type.Params) != 1 || e.Type.Params[0] != meter.I32 {
		t.Errorf("pf_ttl: %+v, %t", e, ok)
	}
}

// TestNameSectionsAreNotTrusted: the count of a name section made wazero take
// gigabytes.
func TestNameSectionsAreNotTrusted(t *testing.T) {
	names := func(payload string) []byte {
		return newBuilder().section(0, []byte("\x04name"+payload)...).b
	}
	for name, c := range map[string]struct {
		payload string
		kept    bool
	}{
		"functions":       {"\x01\x04\x01\x00\x01f", true},
		"among others":    {"\x00\x02\x01m\x01\x04\x01\x00\x01f\x02\x05\xf2\xf2\xf20\xf2", true},
		"huge count":      {"\x01\x05\xf2\xf2\xf20\xf2", false},
		"only locals":     {"\x02\x05\xf2\xf2\xf20\xf2", false},
		"longer":          {"\x01\x05\x01\x00\x01f\x00", false},
		"outside":         {"\x01\x7f\x01\x00\x01f", false},
		"nothing at all":  {"", false},
		"text not UTF-8":  {"\x01\x04\x01\x00\x01\xff", false},
		"count not there": {"\x01\x00", false},
	} {
		m, err := meter.Parse(names(c.payload), meter.DefaultLimits())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if kept := bytes.Contains(m.Rewrite(), []byte("\x04name\x01\x04\x01\x00\x01f")); kept != c.kept {
			t.Errorf("%s: kept: %t, want %t", name, kept, c.kept)
		}
		if bytes.Contains(m.Rewrite(), []byte("\xf2\xf2\xf20")) {
			t.Errorf("%s: a count that was not checked is kept", name)
		}
	}
}

// TestRewriteAddsLittle keeps an eye on the size of what is inserted.
func TestRewriteAddsLittle(t *testing.T) {
	b := modules(t)["lru-c"]
	m, err := meter.Parse(b, meter.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	if got := len(m.Rewrite()); got > len(b)*3/2 {
		t.Errorf("%d bytes became %d", len(b), got)
	}
}
