// Package abi is the one description of the binary interface between perfopt
// and a policy module: the names and signatures of exports and imports, the
// layout of the arena and of every record in it, the columns, and the status
// codes. The host (package hostabi) checks modules with it; the generator in
// hostabi/abi/gen writes the records of the SDKs from it; docs/abi.md is the
// same in prose. Nothing else in the tree repeats an offset or a name.
//
// The main types:
//   - [Function] is an export or a host import with its signature.
//   - [Record] is a block of bytes with named [Field]s at fixed offsets.
//   - [Column] is an input feature of a batch, asked for by name.
//
// The interface grows by optional exports, new columns and new fields at the
// end of a record; the meaning of what is here never changes within a version.
// [Major] goes up only when a module of the former version could not be run
// any more, and a host may then serve both.
//
// This package must not know WebAssembly's binary format, wazero, or who asks
// for decisions. All numbers are little-endian.
package abi

import "slices"

// Version of the interface.
const (
	Major = 1 // modules with another one are refused
	Minor = 0 // counts additions; a module may look at it in the arena header
)

// Magic are the first four bytes of the arena, "PFA1" read as a little-endian
// number.
const Magic uint32 = 'P' | 'F'<<8 | 'A'<<16 | '1'<<24

// Names of the exports.
const (
	ExportMarker     = "pf_abi_1"
	ExportManifest   = "pf_manifest"
	ExportArena      = "pf_arena"
	ExportInit       = "pf_init"
	ExportTTL        = "pf_ttl"
	ExportScore      = "pf_score"
	ExportEvents     = "pf_events"
	ExportEvict      = "pf_evict"
	ExportPrefetch   = "pf_prefetch"
	ExportScale      = "pf_scale"
	ExportStateOut   = "pf_export_state"
	ExportStateIn    = "pf_import_state"
	ExportInitialize = "_initialize"
	ExportMemory     = "memory"

	// MarkerPrefix starts the marker of every major version.
	MarkerPrefix = "pf_abi_"
	// ReservedPrefix starts names that a module must not use: they are the
	// host's, for metering.
	ReservedPrefix = "__pf_"
)

// Names of the imports.
const (
	ImportModule = "perfopt_v1"
	ImportLog    = "log"
	ImportMetric = "metric"
	// ImportWASI is served by a shim that denies everything but the clock of
	// the arena header and seeded randomness; see [WASI].
	ImportWASI = "wasi_snapshot_preview1"
)

// OptionalSuffix ends the name of a feature that a module can do without: an
// unknown one is a column of NaN instead of a refusal.
const OptionalSuffix = "?"

// Bounds.
const (
	ManifestMaxBytes = 8 << 10  // bytes of the manifest
	ConfigMaxBytes   = 32 << 10 // bytes of the config as JSON
	ConfigMaxKeys    = 64       // keys of the config schema
	ConfigStringMax  = 1 << 10  // bytes of a string setting
	FeaturesMax      = 32       // features of the manifest
	BatchMax         = 1024     // largest max_batch, and the default
	MetricsMax       = 32       // declared metrics
	LogLineMaxBytes  = 1 << 10  // bytes of a log line that are kept
	StateMaxBytes    = 16 << 20 // bytes of exported state
	StateChunkBytes  = 16 << 10 // out region (and in region) of a module with state, at least
	SlotBytes        = 64       // memory for each slot that an order of eviction may have beside its pages
	ArenaAlign       = 16       // alignment of the arena, its regions and columns
)

// ValueType is a type of WebAssembly's parameters and results.
type ValueType string

// The value types that the interface uses.
const (
	I32 ValueType = "i32"
	I64 ValueType = "i64"
	F64 ValueType = "f64"
)

// Function is an export of a module or an import from the host.
type Function struct {
	Name    string
	Params  []ValueType
	Results []ValueType
	// Required says that every module has it. Others belong to a kind or are
	// optional.
	Required bool
	// Since is the minor version that added it.
	Since int
	// Doc is one sentence.
	Doc string
}

// Signature returns the signature as text: "(i32, i32) -> i32".
func (f Function) Signature() string { return Signature(f.Params, f.Results) }

// Signature returns a signature as text.
func Signature(params, results []ValueType) string {
	return "(" + join(params) + ") -> " + result(results)
}

func join(types []ValueType) string {
	s := ""
	for i, t := range types {
		if i > 0 {
			s += ", "
		}
		s += string(t)
	}
	return s
}

func result(types []ValueType) string {
	if len(types) == 1 {
		return string(types[0])
	}
	return "(" + join(types) + ")"
}

// Exports returns every export that the host knows, in the order of a
// module's life.
func Exports() []Function {
	return []Function{
		{Name: ExportMarker, Required: true,
			Doc: "Marks the major version; never called."},
		{Name: ExportManifest, Results: []ValueType{I64}, Required: true,
			Doc: "Returns address << 32 | length of the manifest, JSON in UTF-8."},
		{Name: ExportInitialize,
			Doc: "Called once after instantiation, before anything else; runtimes of languages start here."},
		{Name: ExportArena, Params: []ValueType{I32}, Results: []ValueType{I32}, Required: true,
			Doc: "Hands over, once, a block of that many bytes for the life of the instance and returns its address, a multiple of 16; 0 refuses."},
		{Name: ExportInit, Results: []ValueType{I32}, Required: true,
			Doc: "Starts the policy with the init record; returns a status."},
		{Name: ExportTTL, Params: []ValueType{I32}, Results: []ValueType{I32},
			Doc: "Writes a lifetime in seconds for each of n rows; returns n or a status."},
		{Name: ExportScore, Params: []ValueType{I32}, Results: []ValueType{I32},
			Doc: "Writes a score for each of n rows, the lowest goes first; returns n or a status."},
		{Name: ExportEvents, Params: []ValueType{I32}, Results: []ValueType{I32},
			Doc: "Observes n events and their insert rows; returns a status."},
		{Name: ExportEvict, Params: []ValueType{I32}, Results: []ValueType{I32},
			Doc: "Writes at most want victims, most evictable first; returns how many or a status."},
		{Name: ExportPrefetch, Params: []ValueType{I32}, Results: []ValueType{I32},
			Doc: "Writes key hashes to load, best first, at most the budget; returns how many or a status."},
		{Name: ExportScale, Results: []ValueType{I32},
			Doc: "Writes the next limit and its reason; returns a status."},
		{Name: ExportStateOut, Params: []ValueType{I32}, Results: []ValueType{I32},
			Doc: "Writes the next chunk of state, at most cap bytes, and returns its length; a length below cap ends the state."},
		{Name: ExportStateIn, Params: []ValueType{I32, I32}, Results: []ValueType{I32},
			Doc: "Reads the next chunk of state of the given version; a chunk shorter than the out region ends the state."},
	}
}

// Imports returns the functions that the host offers under [ImportModule].
func Imports() []Function {
	return []Function{
		{Name: ImportLog, Params: []ValueType{I32, I32, I32},
			Doc: "log(level, address, length): one line of text; level 0 trace to 4 error."},
		{Name: ImportMetric, Params: []ValueType{I32, F64},
			Doc: "metric(id, value): sets the gauge, or adds to the counter, at that index of the manifest's metrics."},
	}
}

// Export returns the description of an export.
func Export(name string) (Function, bool) { return find(Exports(), name) }

// Import returns the description of a host function.
func Import(name string) (Function, bool) { return find(Imports(), name) }

// WASI returns the functions of [ImportWASI] that the host's shim has: those
// that the runtime of a Go guest imports.
func WASI() []Function {
	w := func(name string, params ...ValueType) Function {
		return Function{Name: name, Params: params, Results: []ValueType{I32}}
	}
	exit := w("proc_exit", I32)
	exit.Results = nil
	return []Function{
		w("args_get", I32, I32),
		w("args_sizes_get", I32, I32),
		w("clock_time_get", I32, I64, I32),
		w("environ_get", I32, I32),
		w("environ_sizes_get", I32, I32),
		w("fd_close", I32),
		w("fd_fdstat_get", I32, I32),
		w("fd_fdstat_set_flags", I32, I32),
		w("fd_filestat_get", I32, I32),
		w("fd_prestat_dir_name", I32, I32, I32),
		w("fd_prestat_get", I32, I32),
		w("fd_read", I32, I32, I32, I32),
		w("fd_write", I32, I32, I32, I32),
		w("path_filestat_get", I32, I32, I32, I32, I32),
		w("path_open", I32, I32, I32, I32, I32, I64, I64, I32, I32),
		w("poll_oneoff", I32, I32, I32, I32),
		exit,
		w("random_get", I32, I32),
		w("sched_yield"),
	}
}

func find(list []Function, name string) (Function, bool) {
	i := slices.IndexFunc(list, func(f Function) bool { return f.Name == name })
	if i < 0 {
		return Function{}, false
	}
	return list[i], true
}

// Status is what a call returns below zero.
type Status int32

// The statuses.
const (
	StatusUnsupported Status = -1 // the module does not do that
	StatusBadInput    Status = -2 // the config or the input cannot be used
	StatusInternal    Status = -3 // the module is broken and knows it
	StatusWarmingUp   Status = -4 // no opinion yet: the host decides by itself; not a fault
)

// String returns the name of the status.
func (s Status) String() string {
	switch s {
	case StatusUnsupported:
		return "unsupported"
	case StatusBadInput:
		return "bad input"
	case StatusInternal:
		return "internal error"
	case StatusWarmingUp:
		return "warming up"
	}
	return "unknown status"
}
