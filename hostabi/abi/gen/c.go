package main

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"

	"github.com/perfopt/perfopt/hostabi/abi"
	"github.com/perfopt/perfopt/policies"
)

// cRecords renders the records of the SDK in C: constants and structs.
func cRecords() ([]byte, error) {
	var b bytes.Buffer
	p := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	p("\n#define PF_NO_SLOT 0x%08Xu /* stands where an event has no resident entry: in a miss */\n", uint32(policies.NoSlot))
	p("#define PF_ABI %d\n#define PF_ARENA_ALIGN %d\n#define PF_BATCH_MAX %d\n#define PF_MANIFEST_MAX %d\n#define PF_LOG_MAX %d\n\n",
		abi.Major, abi.ArenaAlign, abi.BatchMax, abi.ManifestMaxBytes, abi.LogLineMaxBytes)
	p("enum pf_op { /* what happened to an entry */\n")
	for o := policies.OpHit; o <= policies.OpRestore; o++ {
		p("\tPF_%s = %d, /* %s */\n", strings.ToUpper(o.String()), o, opDoc[o])
	}
	p("};\n\nenum { /* flags of an event and of its insert row */\n\tPF_PREFETCHED = %d, /* the entry was loaded by a prefetch, not for a caller */\n\tPF_PINNED = %d, /* the removal is a pin; the entry must not be named as a victim */\n};\n\n",
		policies.FlagPrefetched, policies.FlagPinned)
	p("enum { /* what a callback returns; %s */\n\tPF_OK = 0,\n", "more than 0 is a count")
	for _, s := range statuses {
		p("\tPF_%s = %d, /* %s */\n", strings.ToUpper(strings.ReplaceAll(s.String(), " ", "_")), int32(s), statusDoc(s))
	}
	p("};\n\nenum pf_reason { /* why a scaling policy chose its limit; from PF_REASON_CUSTOM on the author's */\n")
	for r := policies.ReasonHold; r.String() != policies.ReasonCustom.String(); r++ {
		p("\tPF_REASON_%s = %d, /* %s */\n", strings.ToUpper(r.String()), r, reasonDoc[r])
	}
	p("\tPF_REASON_CUSTOM = %d,\n};\n\n", policies.ReasonCustom)
	p("enum pf_column { /* an input feature of a batch, a double a row; NaN is unknown */\n")
	for i, c := range abi.Columns() {
		p("\tPF_%s = %d, /* %s. Unit %s, range %s. */\n", upperName(goColumnNames[i]), i+1, c.Doc, c.Unit, c.Range)
	}
	p("\tPF_OPTIONAL = 0x80, /* with a column: a host that does not know it gives NaN instead of refusing */\n};\n\n")
	p("#define PF_COLUMN_COUNT %d\n#define PF_COLUMN_NAMES \\\n\t{", policies.NumColumns)
	for i, c := range abi.Columns() {
		if i > 0 {
			p(", ")
			if i%5 == 0 {
				p("\\\n\t ")
			}
		}
		p("%q", c.Name)
	}
	p("}\n\n")
	types := map[string]string{"u8": "uint8_t", "u16": "uint16_t", "u32": "uint32_t", "u64": "uint64_t", "i64": "int64_t", "f64": "double"}
	for _, r := range abi.Records() {
		p("/* %s */\nstruct pf_%s {\n", r.Doc, r.Name)
		for _, f := range r.Fields {
			p("\t%s %s; /* %s */\n", types[f.Type], f.Name, f.Doc)
		}
		p("};\n_Static_assert(sizeof(struct pf_%s) == %d, \"pf_%s\");\n\n", r.Name, r.Size, r.Name)
	}
	return b.Bytes(), nil
}

var statuses = []abi.Status{abi.StatusUnsupported, abi.StatusBadInput, abi.StatusInternal, abi.StatusWarmingUp}

// statusDoc says what a status means.
func statusDoc(s abi.Status) string {
	switch s {
	case abi.StatusUnsupported:
		return "the policy does not do that"
	case abi.StatusBadInput:
		return "a setting or the input cannot be used"
	case abi.StatusInternal:
		return "the policy is broken and knows it"
	case abi.StatusWarmingUp:
		return "no opinion yet: the host decides by itself; not a fault"
	}
	return s.String()
}

// upperName turns a Go name into words joined by '_', in capitals: TTLLeft is
// TTL_LEFT.
func upperName(name string) string {
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		starts := i > 0 && unicode.IsUpper(r) &&
			(unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1]))
		if starts {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToUpper(r))
	}
	return b.String()
}
