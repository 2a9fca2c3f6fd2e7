package main

import (
	"bytes"
	"fmt"
	"go/format"
	"strings"

	"github.com/perfopt/perfopt/hostabi/abi"
	"github.com/perfopt/perfopt/policies"
)

// goRecords renders the records of the Go SDK, package policy.
func goRecords() ([]byte, error) {
	var b bytes.Buffer
	p := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }

	p("// %s\n\npackage policy\n\n", notice)
	p("// Version of the interface that these records describe.\nconst (\n\tabiMajor = %d\n\tabiMinor = %d\n\n", abi.Major, abi.Minor)
	p("\tarenaMagic uint32 = %#x\n\tarenaAlign = %d\n\tmanifestMaxBytes = %d\n\tbatchMax = %d\n\tmetricsMax = %d\n\tlogLineMaxBytes = %d\n)\n\n",
		abi.Magic, abi.ArenaAlign, abi.ManifestMaxBytes, abi.BatchMax, abi.MetricsMax, abi.LogLineMaxBytes)

	for _, r := range []abi.Record{abi.Header(), abi.Init(), abi.Evict(), abi.ScaleOut()} {
		goOffsets(p, r)
	}
	p("// Flags of the arena header.\nconst (\n\theaderFlagReplay = %d\n\theaderFlagShadow = %d\n\theaderFlagLastBatch = %d\n)\n\n",
		abi.FlagReplay, abi.FlagShadow, abi.FlagLastBatch)

	p("// Statuses that an export returns below zero.\nconst (\n")
	for _, s := range statuses {
		p("\tstatus%s int32 = %d // %s\n", goName(strings.ReplaceAll(s.String(), " ", "_")), int32(s), s)
	}
	p(")\n\n")

	goTypes(p)
	goOps(p)
	goStruct(p, "Event", abi.Event(), map[string]string{"slot": "Slot", "op": "Op"})
	goStruct(p, "Insert", abi.Insert(), map[string]string{"key_hash": "KeyHash"})
	goStruct(p, "Load", abi.Load(), nil)
	goReasons(p)
	goColumns(p)
	return format.Source(b.Bytes())
}

type printer func(format string, args ...any)

func goOffsets(p printer, r abi.Record) {
	prefix := strings.ToLower(goName(r.Name)[:1]) + goName(r.Name)[1:]
	p("// %s Offsets in bytes.\nconst (\n", r.Doc)
	for _, f := range r.Fields {
		p("\t%s%s = %d // %s: %s\n", prefix, goName(f.Name), f.Offset, f.Type, f.Doc)
	}
	p("\t%sSize = %d\n)\n\n", prefix, r.Size)
}

func goTypes(p printer) {
	p(`// Slot is the dense number of a resident entry. It is used again only after
// its removal was shown.
type Slot uint32

// NoSlot stands where an event has no resident entry: in a miss.
const NoSlot Slot = %#x

// KeyHash is the salted 64-bit hash of a key.
type KeyHash uint64

// Nanos is a moment in nanoseconds since the Unix epoch on the host's clock.
type Nanos int64

`, uint32(policies.NoSlot))
}

// opDoc and reasonDoc say in a few words what each number means.
var (
	opDoc = [...]string{
		policies.OpHit:     "the entry was read; may be lost under load, all others are not",
		policies.OpInsert:  "an entry took the slot; has an Insert",
		policies.OpUpdate:  "the entry got another value, weight, TTL or cost; has an Insert",
		policies.OpRemove:  "the entry left, was pinned, or was evicted without this policy having named it",
		policies.OpExpire:  "the entry left because of its age",
		policies.OpMiss:    "a key without resident entry was asked for; slot is NoSlot; has an Insert",
		policies.OpRestore: "an entry that is resident already is made known, coldest first; has an Insert",
	}
	reasonDoc = [...]string{
		policies.ReasonHold:     "nothing calls for a change",
		policies.ReasonGrow:     "everything is below its low mark",
		policies.ReasonCPU:      "cut: CPU above its high mark",
		policies.ReasonMemory:   "cut: memory above its high mark",
		policies.ReasonErrors:   "cut: error rate above its high mark",
		policies.ReasonLatency:  "cut: latency above its high mark",
		policies.ReasonWindow:   "held: too few completions to judge",
		policies.ReasonUnstable: "held: the last windows are not stable yet",
		policies.ReasonUnused:   "held: the present limit is not in use",
		policies.ReasonUndo:     "restored: the last cuts cost throughput and gained no latency",
		policies.ReasonProbe:    "cut for a moment to measure the baseline",
		policies.ReasonGradient: "moved with the ratio of baseline and latency",
		policies.ReasonFixed:    "the policy keeps a fixed limit",
		policies.ReasonBound:    "held at a bound",
	}
)

func goOps(p printer) {
	p("// Op says what happened to an entry.\ntype Op uint8\n\n// The operations of an [Event].\nconst (\n")
	for o := policies.OpHit; o <= policies.OpRestore; o++ {
		p("\tOp%s Op = %d // %s\n", goName(o.String()), o, opDoc[o])
	}
	p(")\n\n// HasInsert reports whether an event with this operation is accompanied by an\n// [Insert] row.\nfunc (o Op) HasInsert() bool {\n\treturn ")
	first := true
	for o := policies.OpHit; o <= policies.OpRestore; o++ {
		if !o.HasInsert() {
			continue
		}
		if !first {
			p(" || ")
		}
		p("o == Op%s", goName(o.String()))
		first = false
	}
	p("\n}\n\n// Flags of an [Event] and of an [Insert].\nconst (\n\tFlagPrefetched = %d // the entry was loaded by a prefetch, not for a caller\n\tFlagPinned = %d // the removal is a pin; the entry must not be named as a victim\n)\n\n",
		policies.FlagPrefetched, policies.FlagPinned)
}

// goStruct writes a record whose fields follow each other without a gap, so
// that the struct has the same bytes.
func goStruct(p printer, name string, r abi.Record, types map[string]string) {
	p("// %s is a record of %d bytes, the same in Go and in the arena.\n//\n// %s\ntype %s struct {\n", name, r.Size, r.Doc, name)
	for _, f := range r.Fields {
		typ := types[f.Name]
		if typ == "" {
			typ = map[string]string{"u8": "uint8", "u16": "uint16", "u32": "uint32", "u64": "uint64", "i64": "int64", "f64": "float64"}[f.Type]
		}
		p("\t%s %s // %s\n", goName(f.Name), typ, f.Doc)
	}
	p("}\n\nconst %sSize = %d\n\n", lowerFirst(name), r.Size)
}

func goReasons(p printer) {
	p("// Reason says why a scaling policy chose its limit.\ntype Reason uint32\n\n// The reasons. Numbers from ReasonCustom on are the author's.\nconst (\n")
	for r := policies.ReasonHold; r.String() != policies.ReasonCustom.String(); r++ {
		p("\tReason%s Reason = %d // %s\n", goName(r.String()), r, reasonDoc[r])
	}
	p("\n\tReasonCustom Reason = %d // the first number that is the author's\n)\n\n", policies.ReasonCustom)
}

// goColumnNames are the Go names of the columns: the words of the ABI without
// units, which stand in the comments.
var goColumnNames = [policies.NumColumns]string{
	policies.ColFreq:       "Freq",
	policies.ColRecency:    "Recency",
	policies.ColRateSlow:   "RateSlow",
	policies.ColRateFast:   "RateFast",
	policies.ColTrend:      "Trend",
	policies.ColTimeOfDay:  "TimeOfDay",
	policies.ColConfidence: "Confidence",
	policies.ColPrediction: "Prediction",
	policies.ColSize:       "Size",
	policies.ColLoadCost:   "LoadCost",
	policies.ColAge:        "Age",
	policies.ColTTLLeft:    "TTLLeft",
	policies.ColBaseTTL:    "BaseTTL",
	policies.ColOriginTTL:  "OriginTTL",
	policies.ColMinTTL:     "MinTTL",
	policies.ColMaxTTL:     "MaxTTL",
	policies.ColChanged:    "Changed",
	policies.ColUnchanged:  "Unchanged",
	policies.ColResident:   "Resident",
	policies.ColNextAccess: "NextAccess",
}

func goColumns(p printer) {
	p("// Column is an input feature of a batch, a float64 a row; NaN means unknown.\ntype Column uint8\n\n// The columns.\nconst (\n")
	for i, c := range abi.Columns() {
		p("\t// %s: %s. Unit %s, range %s.\n\t%s Column = %d\n", goColumnNames[i], c.Doc, c.Unit, c.Range, goColumnNames[i], i)
	}
	p("\n\tnumColumns = %d\n)\n\n// columnNames are the names under which a manifest asks for the columns.\nvar columnNames = [numColumns]string{\n", policies.NumColumns)
	for _, c := range abi.Columns() {
		p("\t%q,\n", c.Name)
	}
	p("}\n")
}

// goName turns words joined by '_' into a Go name.
func goName(words string) string {
	initialisms := map[string]string{"ttl": "TTL", "cpu": "CPU", "id": "ID", "p50": "P50", "p95": "P95", "p99": "P99"}
	var b strings.Builder
	for w := range strings.SplitSeq(words, "_") {
		if up, ok := initialisms[w]; ok {
			b.WriteString(up)
		} else if w != "" {
			b.WriteString(strings.ToUpper(w[:1]) + w[1:])
		}
	}
	return b.String()
}

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }
