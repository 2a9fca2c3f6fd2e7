package abi

import "fmt"

// Field is a number at a fixed offset of a record.
type Field struct {
	Name   string // words joined by '_'
	Offset uint32 // bytes from the start of the record
	Type   string // u8, u16, u32, u64, i64, f64
	Doc    string // unit, range, what zero or NaN means
}

// Size returns the size of the field in bytes.
func (f Field) Size() uint32 {
	switch f.Type {
	case "u8":
		return 1
	case "u16":
		return 2
	case "u32":
		return 4
	case "u64", "i64", "f64":
		return 8
	}
	panic(fmt.Sprintf("abi: field %s has unknown type %q", f.Name, f.Type))
}

// Record is a block of bytes with fields at fixed offsets.
type Record struct {
	Name   string
	Size   uint32 // bytes
	Doc    string
	Fields []Field
}

// Offsets in the arena header.
const (
	HeaderMagic    = 0
	HeaderMajor    = 4
	HeaderMinor    = 6
	HeaderInOff    = 8
	HeaderInCap    = 12
	HeaderOutOff   = 16
	HeaderOutCap   = 20
	HeaderNow      = 24
	HeaderSequence = 32
	HeaderSeed     = 40
	HeaderN        = 48
	HeaderRowsCap  = 52
	HeaderFlags    = 56
	HeaderCount    = 60
	HeaderSize     = 64
)

// Flags of the arena header.
const (
	FlagReplay    = 1 << 0 // the clock is a trace's
	FlagShadow    = 1 << 1 // the answers are not acted upon
	FlagLastBatch = 1 << 2 // no more rows follow in this round
)

// Sizes and offsets of the other records.
const (
	EventSize  = 8
	InsertSize = 24

	InitCapacity     = 0
	InitMaxSlots     = 8
	InitConfigLength = 12
	InitConfig       = 16

	EvictNeed     = 0
	EvictLive     = 8
	EvictMaxSlots = 12
	EvictSize     = 16

	ScaleOutLimit  = 0
	ScaleOutReason = 8
	ScaleOutSize   = 16

	// LoadFields is the number of f64 in the load record.
	LoadFields = 26
	LoadSize   = 8 * LoadFields
)

// Header describes the start of the arena.
func Header() Record {
	return Record{Name: "header", Size: HeaderSize,
		Doc: "Start of the arena; written by the host before every call, read by the module.",
		Fields: []Field{
			{"magic", HeaderMagic, "u32", `"PFA1"`},
			{"major", HeaderMajor, "u16", "major version of the interface"},
			{"minor", HeaderMinor, "u16", "minor version of the host"},
			{"in_off", HeaderInOff, "u32", "offset of the in region from the start of the arena; a multiple of 16"},
			{"in_cap", HeaderInCap, "u32", "bytes of the in region"},
			{"out_off", HeaderOutOff, "u32", "offset of the out region; a multiple of 16"},
			{"out_cap", HeaderOutCap, "u32", "bytes of the out region"},
			{"now", HeaderNow, "i64", "nanoseconds since the Unix epoch on the host's clock; a trace's clock in a replay"},
			{"sequence", HeaderSequence, "u64", "calls made to this instance before this one"},
			{"seed", HeaderSeed, "u64", "seed of the instance; the same for all its calls"},
			{"n", HeaderN, "u32", "rows, events or wanted victims of this call; the same as the parameter"},
			{"rows_cap", HeaderRowsCap, "u32", "rows that a column has room for: the manifest's max_batch"},
			{"flags", HeaderFlags, "u32", "1 replay, 2 shadow, 4 last batch of a round"},
			{"count", HeaderCount, "u32", "insert rows (pf_events), budget (pf_prefetch), length of the chunk (pf_import_state), else 0"},
		}}
}

// Event describes a row of the stream of accesses.
func Event() Record {
	return Record{Name: "event", Size: EventSize,
		Doc: "One access or change of an entry, in their order.",
		Fields: []Field{
			{"slot", 0, "u32", "dense number of the resident entry; 0xFFFFFFFF = none (a miss)"},
			{"op", 4, "u8", "1 hit, 2 insert, 3 update, 4 remove, 5 expire, 6 miss, 7 restore"},
			{"flags", 5, "u8", "1 loaded by a prefetch, 2 pinned"},
			{"class", 6, "u16", "load cost: round(16*log2(1+cost in microseconds)); 0 = unknown"},
		}}
}

// Insert describes the row that accompanies each insert, update, miss and
// restore event, in their order.
func Insert() Record {
	return Record{Name: "insert", Size: InsertSize,
		Doc: "Accompanies each insert, update, miss and restore event, in their order; numbers that do not fit saturate.",
		Fields: []Field{
			{"key_hash", 0, "u64", "salted hash of the key"},
			{"weight", 8, "u32", "units of the capacity: bytes or objects; 0 = unknown (a miss)"},
			{"ttl_millis", 12, "u32", "physical time to live in milliseconds; 0 = does not expire"},
			{"load_cost_micros", 16, "u32", "microseconds that loading took; 0 = unknown"},
			{"flags", 20, "u32", "as in the event"},
		}}
}

// Init describes the in region of pf_init.
func Init() Record {
	return Record{Name: "init", Size: InitConfig,
		Doc: "In region of pf_init; config_length bytes of JSON follow, an object with every key of the manifest's config.",
		Fields: []Field{
			{"capacity", InitCapacity, "i64", "bound on the sum of weights of the residents; 0 for kinds other than eviction"},
			{"max_slots", InitMaxSlots, "u32", "every slot is below it; 0 for kinds other than eviction"},
			{"config_length", InitConfigLength, "u32", "bytes of config that follow"},
		}}
}

// Evict describes the in region of pf_evict.
func Evict() Record {
	return Record{Name: "evict", Size: EvictSize,
		Doc: "In region of pf_evict.",
		Fields: []Field{
			{"need", EvictNeed, "i64", "weight that the victims should free, in units of the capacity"},
			{"live", EvictLive, "u32", "residents that the module was shown and that have not left"},
			{"max_slots", EvictMaxSlots, "u32", "every slot is below it"},
		}}
}

// ScaleOut describes the out region of pf_scale.
func ScaleOut() Record {
	return Record{Name: "scale_out", Size: ScaleOutSize,
		Doc: "Out region of pf_scale.",
		Fields: []Field{
			{"limit", ScaleOutLimit, "f64", "the next limit, in units of in-flight work; NaN is a fault"},
			{"reason", ScaleOutReason, "u32", "why; see the reasons"},
		}}
}

// Load describes the in region of pf_scale: one f64 after the other.
func Load() Record {
	names := []struct{ name, doc string }{
		{"tick", "questions since the policy was seated, from 1"},
		{"limit", "present limit, in units of in-flight work"},
		{"min_limit", "lower bound of the answer"},
		{"max_limit", "upper bound of the answer"},
		{"in_flight", "work in flight at this moment"},
		{"max_in_flight", "highest in flight since the last tick"},
		{"queued_critical", "waiting work of priority critical"},
		{"queued_high", "waiting work of priority high"},
		{"queued_normal", "waiting work of priority normal"},
		{"queued_low", "waiting work of priority low"},
		{"queued_background", "waiting work of priority background"},
		{"cpu", "share used of what limits the process, 0..1"},
		{"memory", "share used of what limits the process, 0..1"},
		{"throttled", "share of CPU periods that were throttled, 0..1"},
		{"error_rate", "failed over completed work of the window, 0..1"},
		{"mean_millis", "mean latency of work completed in the window, ms; NaN without completions"},
		{"p50_millis", "median latency, ms; NaN without completions"},
		{"p95_millis", "95th percentile, ms; NaN without completions"},
		{"p99_millis", "99th percentile, ms; NaN without completions"},
		{"target_millis", "target latency, ms; NaN = automatic without a baseline yet"},
		{"baseline_millis", "probed latency without queueing, ms; NaN = unknown"},
		{"completions", "work completed in the window"},
		{"arrivals", "work that asked for admission, per second"},
		{"throughput", "work completed, per second"},
		{"rejected", "work rejected, per second"},
		{"window_nanos", "length of the window, ns"},
	}
	r := Record{Name: "load", Size: LoadSize,
		Doc: "In region of pf_scale: what the scheduler measured since the last tick. The moment is the header's now."}
	for i, n := range names {
		r.Fields = append(r.Fields, Field{n.name, uint32(8 * i), "f64", n.doc})
	}
	return r
}

// Records returns every record.
func Records() []Record {
	return []Record{Header(), Init(), Event(), Insert(), Evict(), Load(), ScaleOut()}
}

// Align rounds up to a multiple of [ArenaAlign].
func Align(n uint32) uint32 { return (n + ArenaAlign - 1) &^ (ArenaAlign - 1) }

// ColumnStride is the distance in bytes between the starts of two columns: the
// key hashes are column 0, the wanted features follow in the manifest's order.
func ColumnStride(rowsCap uint32) uint32 { return Align(8 * rowsCap) }

// InsertsOffset is the offset of the insert rows in the in region of
// pf_events.
func InsertsOffset(rowsCap uint32) uint32 { return Align(EventSize * rowsCap) }
