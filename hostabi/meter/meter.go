// Package meter reads a WebAssembly module strictly and rewrites it so that it
// counts what it executes: every function entry, every turn of a loop and every
// bulk operation subtracts its weight from a fuel counter, and a counter below
// zero traps. So an endless loop ends after a known amount of work, the same
// amount on every machine, and the instance survives.
//
//   - [Parse] reads a module and refuses what it does not know.
//   - [Module] is what it found: types, imports, exports, bodies.
//   - [Module.Rewrite] returns the metered module.
//
// How it is safe. The counter is a global appended behind the module's own, the
// scratch locals are appended behind each function's own. Parse checks every
// index of a local, a global and a function in the code against what the module
// declares, so its code cannot name what is appended. All that is inserted
// leaves the operand stack as it was: a valid module stays valid, an invalid
// one stays invalid, and the WebAssembly compiler, which sees only the
// rewritten module, checks the types. Names with the prefix "__pf_" are
// refused, because the counters are exported under such names.
//
// What is charged. The straight-line code of a function is charged at its
// entry, that of a loop's body at each turn, code that a branch skips too. A
// function entry costs 100 and its locals more, which bounds recursion.
// Divisions, square roots, loads and stores weigh more than one; bulk memory
// and table instructions are charged by their length. Growing a memory or a
// table is charged too, and bounded by an allowance of pages of its own, so that
// the host can say at any moment how much an instance may have.
//
// Host functions are charged by the host, which sees indirect calls too.
//
// This package must not know perfopt's interface, wazero, or budgets. It
// imports the standard library only and never panics on any input.
package meter

// Names under which a rewritten module exports what the host needs.
const (
	// FuelGlobal is a mutable i64 global: what is left. Below zero means that it
	// was used up. It starts at 0.
	FuelGlobal = "__pf_fuel"
	// PagesGlobal is a mutable i64 global: the pages by which memory and tables
	// may still grow, 8,192 items of a table for a page. Below zero means that
	// the module wanted more. It starts at 0.
	PagesGlobal = "__pf_pages"
	// StartFunction is the module's start function, if it has one. A rewritten
	// module runs nothing when it is instantiated: the host calls this first.
	StartFunction = "__pf_start"

	reservedPrefix = "__pf_"
)

// Limits bound what a module may declare. They hold before anything is
// compiled, because compiling has no meter.
type Limits struct {
	Bytes     int    // the module
	Types     int    // function types
	Imports   int    // imported functions
	Functions int    // functions with a body
	BodyBytes int    // one function's body
	Locals    uint32 // one function's locals, parameters included
	Nesting   int    // one function's depth of blocks
	// Flow bounds a function's locals times its blocks and branches, and
	// FlowTotal the sum over all functions: a compiler may have to carry every
	// local along every branch.
	Flow, FlowTotal uint64
	BranchTable     uint32 // one br_table's targets
	Globals         int
	Exports         int
	Segments        int    // data and element segments, each
	TableItems      uint32 // one table's initial size
	MemoryPages     uint32 // the memory's initial size, 64 KiB each
}

// DefaultLimits are far above what the known toolchains produce.
func DefaultLimits() Limits {
	return Limits{
		Bytes: 4 << 20, Types: 4096, Imports: 256, Functions: 20_000, BodyBytes: 1 << 20, Locals: 10_000,
		Flow: 1_000_000, FlowTotal: 8_000_000, Nesting: 10_000, BranchTable: 20_000, Globals: 4096, Exports: 4096, Segments: 200_000,
		TableItems: 100_000, MemoryPages: 1024,
	}
}

// ValueType is a value type as the binary format writes it.
type ValueType byte

// The value types.
const (
	I32       ValueType = 0x7F
	I64       ValueType = 0x7E
	F32       ValueType = 0x7D
	F64       ValueType = 0x7C
	V128      ValueType = 0x7B
	FuncRef   ValueType = 0x70
	ExternRef ValueType = 0x6F
)

// String returns the name of the type in the text format.
func (t ValueType) String() string {
	switch t {
	case I32:
		return "i32"
	case I64:
		return "i64"
	case F32:
		return "f32"
	case F64:
		return "f64"
	case V128:
		return "v128"
	case FuncRef:
		return "funcref"
	case ExternRef:
		return "externref"
	}
	return "unknown"
}

// FuncType is the type of a function.
type FuncType struct{ Params, Results []ValueType }

// ExternKind says what an import or export is.
type ExternKind byte

// The kinds.
const (
	ExternFunc   ExternKind = 0
	ExternTable  ExternKind = 1
	ExternMemory ExternKind = 2
	ExternGlobal ExternKind = 3
)

// String returns the name of the kind.
func (k ExternKind) String() string {
	switch k {
	case ExternFunc:
		return "function"
	case ExternTable:
		return "table"
	case ExternMemory:
		return "memory"
	case ExternGlobal:
		return "global"
	}
	return "unknown"
}

// Import is a function that the module wants from its host.
type Import struct {
	Module, Name string
	Type         FuncType
}

// Export is what the module offers.
type Export struct {
	Name string
	Kind ExternKind
	Type FuncType // of a function
}

// Module is what Parse found. It refers to the bytes that were parsed.
type Module struct {
	Imports []Import
	Exports []Export
	// MemoryMin and MemoryMax are in pages; MemoryMax is 0 where none is
	// declared. HasMemory says whether the module declares its one memory.
	HasMemory            bool
	MemoryMin, MemoryMax uint32
	// HasStart says whether there is a [StartFunction].
	HasStart bool
	// Functions is the number of functions with a body.
	Functions int

	start     uint32
	bytes     []byte
	sections  []section
	types     []FuncType
	functions []uint32 // type index of each function, imported ones first
	globals   uint32
	tables    uint32
	bodies    []body
}

type section struct {
	id         byte
	start, end int // payload
	keep       bool
}

// body is what the rewriter needs to know of a function.
type body struct {
	start, code, end int // of the locals' declaration, the first instruction, behind the last
	groups           uint32
	locals           uint32 // parameters included
	entry            uint32 // weight
	points           []point
	scratch          bool // needs the i32 scratch local
}

// point is a place where a charge is inserted.
type point struct {
	at     int // offset in the module
	kind   pointKind
	weight uint32 // of a loop; shift of a bulk operation
}

type pointKind byte

const (
	pointLoop      pointKind = iota // static weight
	pointBulk                       // length on the stack, shifted right by weight
	pointGrow                       // pages on the stack: 256 each, and out of the allowance
	pointGrowTable                  // items on the stack: 64 each, and out of the allowance
)

// Export returns the export of that name.
func (m *Module) Export(name string) (Export, bool) {
	for _, e := range m.Exports {
		if e.Name == name {
			return e, true
		}
	}
	return Export{}, false
}
