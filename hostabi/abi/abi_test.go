package abi_test

import (
	"os"
	"strings"
	"testing"
	"unsafe"

	"github.com/perfopt/perfopt/hostabi/abi"
	"github.com/perfopt/perfopt/policies"
)

func TestRecordsHaveNoGapsAndNoOverlaps(t *testing.T) {
	for _, r := range abi.Records() {
		next := uint32(0)
		for _, f := range r.Fields {
			if f.Offset != next {
				t.Errorf("record %s: field %s at %d, want %d", r.Name, f.Name, f.Offset, next)
			}
			if f.Doc == "" {
				t.Errorf("record %s: field %s has no doc", r.Name, f.Name)
			}
			next = f.Offset + f.Size()
		}
		if next > r.Size || r.Size-next >= 8 {
			t.Errorf("record %s: fields end at %d, size is %d", r.Name, next, r.Size)
		}
	}
}

func TestRecordsAreTheBytesOfPackagePolicies(t *testing.T) {
	var e policies.Event
	var i policies.Insert
	got := map[string]uintptr{
		"event":             unsafe.Sizeof(e),
		"event.slot":        unsafe.Offsetof(e.Slot),
		"event.op":          unsafe.Offsetof(e.Op),
		"event.flags":       unsafe.Offsetof(e.Flags),
		"event.class":       unsafe.Offsetof(e.Class),
		"insert":            unsafe.Sizeof(i),
		"insert.key_hash":   unsafe.Offsetof(i.KeyHash),
		"insert.weight":     unsafe.Offsetof(i.Weight),
		"insert.ttl_millis": unsafe.Offsetof(i.TTLMillis),

		"insert.load_cost_micros": unsafe.Offsetof(i.LoadCostMicros),
		"insert.flags":            unsafe.Offsetof(i.Flags),
	}
	for _, r := range []abi.Record{abi.Event(), abi.Insert()} {
		if got[r.Name] != uintptr(r.Size) {
			t.Errorf("%s has %d bytes in Go, want %d", r.Name, got[r.Name], r.Size)
		}
		for _, f := range r.Fields {
			if name := r.Name + "." + f.Name; got[name] != uintptr(f.Offset) {
				t.Errorf("%s is at %d in Go, want %d", name, got[name], f.Offset)
			}
		}
	}
}

func TestLoadHasTheFieldsOfPoliciesLoad(t *testing.T) {
	if n := len(abi.Load().Fields); n != abi.LoadFields {
		t.Errorf("load record has %d fields, want %d", n, abi.LoadFields)
	}
	// Now is in the header; everything else is 8 bytes wide in Go too.
	if want := int(unsafe.Sizeof(policies.Load{})/8) - 1; abi.LoadFields != want {
		t.Errorf("policies.Load has %d numbers beside Now, the record %d", want, abi.LoadFields)
	}
}

func TestColumnsAreThoseOfPackagePolicies(t *testing.T) {
	columns := abi.Columns()
	if len(columns) != int(policies.NumColumns) {
		t.Fatalf("%d columns, want %d", len(columns), policies.NumColumns)
	}
	for i, c := range columns {
		if c.Column != policies.Column(i) || c.Name != policies.Column(i).String() {
			t.Errorf("column %d is %d %q", i, c.Column, c.Name)
		}
		if c.Doc == "" || c.Unit == "" || c.Range == "" {
			t.Errorf("column %s is not fully described: %+v", c.Name, c)
		}
	}
}

func TestSpecificationNamesEverything(t *testing.T) {
	data, err := os.ReadFile("../../docs/abi.md")
	if err != nil {
		t.Fatal(err)
	}
	spec := string(data)
	want := func(what, text string) {
		if !strings.Contains(spec, text) {
			t.Errorf("docs/abi.md does not contain the %s %q", what, text)
		}
	}
	for _, f := range abi.Exports() {
		want("export", "`"+f.Name+"`")
		want("signature", f.Signature())
	}
	for _, f := range abi.Imports() {
		want("import", "`"+f.Name+"`")
	}
	for _, f := range abi.WASI() {
		want("WASI function", f.Name)
	}
	for _, r := range abi.Records() {
		for _, f := range r.Fields {
			want("field of "+r.Name, "`"+f.Name+"`")
		}
	}
	for _, c := range abi.Columns() {
		want("column", "`"+c.Name+"`")
	}
}
