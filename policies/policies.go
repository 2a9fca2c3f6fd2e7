// Package policies is the language that every decision of perfopt is spoken in:
// the four kinds of policy, the records they read, the answers they give, and
// the faults they can commit. Hosts (cache, scheduler) ask; policies (native Go
// or WebAssembly) answer; guards check.
//
// The same bytes are shown to a native policy and to a WebAssembly module: an
// [Event] is 8 bytes, an [Insert] 24, columns and scores are float64. So a
// native policy and its WASM twin can agree bit for bit.
//
// The main types:
//   - [Orderer] decides evictions from the stream of events over slots; it can
//     express LRU, S3-FIFO, SIEVE, ARC exactly.
//   - [Scorer] decides evictions by scoring a sample of candidates; it is ten
//     lines long and becomes an Orderer through package features.
//   - [TTL], [Prefetch] and [Scaling] are the other three kinds.
//   - [Rows] is a batch of candidates as a struct of arrays, one array a
//     [Column].
//   - [Fault] is what a guard reports when an answer cannot be used.
//
// This package must not know who asks (cache, scheduler), how a policy is
// loaded (hostabi), or what a key or a value is: a key is a salted 64-bit hash,
// a resident entry a [Slot]. It imports the standard library only.
//
// Caveats. Policies of the kinds eviction, prefetch and scaling have one
// consumer: their methods are called by one goroutine at a time, so a replay is
// exact. A [TTL] is a pure function of its columns; a host may use several
// instances. No policy is ever called on the path of a cache hit.
package policies

// Nanos is a moment (nanoseconds since the Unix epoch on the host's clock) or
// a span (nanoseconds), as the name of the field says. In a replay the host's
// clock is the trace's.
type Nanos int64

// KeyHash is the salted 64-bit hash of a key. Salts are one per cache; a
// replay uses salt 0. Equal keys of one cache have equal hashes; a policy sees
// nothing else of a key.
type KeyHash uint64

// Slot is the dense number of a resident entry. Slots are small integers below
// [Capacity].MaxSlots and are reused, but only after the policy has observed
// the removal of the former holder.
type Slot uint32

// NoSlot stands where an event has no resident entry: in a miss.
const NoSlot Slot = 0xFFFFFFFF

// Info describes a policy to its host.
type Info struct {
	// Name is the policy's own name, such as "lru". Never empty.
	Name string
	// Version is the author's version of the policy; free text, may be empty.
	Version string
	// Kind is the decision that the policy makes.
	Kind Kind
	// Columns are the columns that the policy reads, in the order in which it
	// wants them. The host fills these and may leave all others nil.
	Columns []Column
	// StateVersion is the version of the exported state; 0 means that the
	// policy does not export state and is taught by restore events instead.
	StateVersion uint32
}

// Stateful is implemented by policies whose learnt state can be handed to a
// successor. State is exported and imported only between instances whose
// [Info].StateVersion agree and are not 0.
type Stateful interface {
	// ExportState appends the state to dst and returns the extended slice.
	ExportState(dst []byte) ([]byte, error)
	// ImportState replaces the state. After an error the policy is as fresh.
	ImportState(state []byte) error
}
