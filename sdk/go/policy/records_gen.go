package policy

// Column is an input feature of a batch. Every column is a float64 a row; NaN
// means unknown.
type Column uint8

// The columns, in the order of the ABI.
const (
	Freq       Column = iota // accesses, 0..63: accesses known, halved with time
	Recency                  // s, >= 0: time since the last access
	RateSlow                 // accesses/min, >= 0: access rate with a half-life of 10 min
	RateFast                 // accesses/min, >= 0: access rate with a half-life of 1 min
	Trend                    // accesses/min², any: (fast - slow) / 9; may be negative
	TimeOfDay                // ratio, 0..1: request rate of this hour over that of the busiest hour; 0.5 until a day was seen
	Confidence               // ratio, 0..1: n / (n + 4) of n accesses
	Prediction               // probability, 0..1: the built-in predictor: that the key is asked again within its horizon
	Size                     // bytes or objects, >= 0: weight of the entry in units of the capacity
	LoadCost                 // ms, >= 0: time that loading took; 0 = unknown
	Age                      // s, >= 0: time since the entry was written
	TTLLeft                  // s, any: time until the entry expires; negative = expired, +Inf = never
	BaseTTL                  // s, >= 0: the origin's freshness, or the default of the route or cache
	OriginTTL                // s, >= 0: explicit freshness from the origin, an upper bound; NaN = none
	MinTTL                   // s, >= 0: lower bound of the answer
	MaxTTL                   // s, >= 0: upper bound of the answer
	Changed                  // reloads, >= 0: reloads that found the value changed
	Unchanged                // reloads, >= 0: reloads and validations that found the value unchanged
	Resident                 // bool, 0 or 1: 1 = resident, 0 = recently evicted or missed
	NextAccess               // s, >= 0: time until the next access as predicted from the slow rate; +Inf = unknown

	numColumns
)

var columnNames = [numColumns]string{
	"freq", "recency_s", "rate_slow", "rate_fast", "trend", "tod", "confidence", "prediction",
	"size", "load_ms", "age_s", "ttl_left_s", "base_ttl_s", "origin_ttl_s", "min_ttl_s", "max_ttl_s",
	"changed", "unchanged", "resident", "next_access_s",
}

// Slot is the dense number of a resident entry, below [Capacity].MaxSlots. It
// is reused, but only after the removal of its former holder was shown.
type Slot uint32

// NoSlot stands where an event has no resident entry: in a miss.
const NoSlot Slot = 0xFFFFFFFF

// KeyHash is the salted 64-bit hash of a key.
type KeyHash uint64

// Op says what happened to an entry.
type Op uint8

// The operations.
const (
	OpHit     Op = 1 // the entry was read
	OpInsert  Op = 2 // a new entry took the slot
	OpUpdate  Op = 3 // the entry got another value, weight, TTL or cost
	OpRemove  Op = 4 // the entry left, but not because this policy named it
	OpExpire  Op = 5 // the entry left because of its age
	OpMiss    Op = 6 // a key without resident entry was asked for
	OpRestore Op = 7 // an entry that is resident already is made known; coldest first
)

// Flags of an [Event] and an [Insert].
const (
	FlagPrefetched = 1 << 0 // loaded by a prefetch, not for a caller
	FlagPinned     = 1 << 1 // the removal is a pin: the entry stays resident, but must not be named
)

// Event is one access or change of an entry; 8 bytes.
type Event struct {
	Slot  Slot   // the entry, or NoSlot
	Op    Op     // what happened
	Flags uint8  // FlagPrefetched, FlagPinned
	Class uint16 // load cost: round(16*log2(1+cost in microseconds)); 0 = unknown
}

// Insert accompanies each insert, update, miss and restore event; 24 bytes.
// Numbers that do not fit saturate.
type Insert struct {
	KeyHash        KeyHash
	Weight         uint32 // units of the capacity: bytes or objects; 0 = unknown (a miss)
	TTLMillis      uint32 // physical time to live in milliseconds; 0 = does not expire
	LoadCostMicros uint32 // microseconds that loading took; 0 = unknown
	Flags          uint32 // as in the event
}

// Load is what the scheduler measured since the last tick.
type Load struct {
	Tick float64 // questions since the policy was seated, from 1

	Limit    float64 // present limit, in units of in-flight work
	MinLimit float64 // lower bound of the answer
	MaxLimit float64 // upper bound of the answer

	InFlight    float64    // work in flight at this moment
	MaxInFlight float64    // highest in flight since the last tick
	Queued      [5]float64 // waiting work by priority: critical, high, normal, low, background

	CPU       float64 // share used of what limits the process, 0..1
	Memory    float64 // share used of what limits the process, 0..1
	Throttled float64 // share of CPU periods that were throttled, 0..1

	ErrorRate      float64 // failed over completed work of the window, 0..1
	MeanMillis     float64 // mean latency of work completed in the window, ms; NaN without completions
	P50Millis      float64 // median latency, ms; NaN without completions
	P95Millis      float64 // 95th percentile, ms; NaN without completions
	P99Millis      float64 // 99th percentile, ms; NaN without completions
	TargetMillis   float64 // target latency, ms; NaN = automatic without a baseline yet
	BaselineMillis float64 // probed latency without queueing, ms; NaN = unknown
	Completions    float64 // work completed in the window
	Arrivals       float64 // work that asked for admission, per second
	Throughput     float64 // work completed, per second
	Rejected       float64 // work rejected, per second
	WindowNanos    float64 // length of the window, ns
	Reserved       float64 // 0
}

// Reason says why a scaling policy chose its limit. A policy may use numbers
// from [ReasonCustom] on.
type Reason uint32

// The reasons.
const (
	ReasonHold     Reason = iota // nothing calls for a change
	ReasonGrow                   // everything is below its low mark
	ReasonCPU                    // cut: CPU above its high mark
	ReasonMemory                 // cut: memory above its high mark
	ReasonErrors                 // cut: error rate above its high mark
	ReasonLatency                // cut: latency above its high mark
	ReasonWindow                 // held: too few completions to judge
	ReasonUnstable               // held: the last windows are not stable yet
	ReasonUnused                 // held: the present limit is not in use
	ReasonUndo                   // restored: the last cuts cost throughput and gained no latency
	ReasonProbe                  // cut for a moment to measure the baseline
	ReasonGradient               // moved with the ratio of baseline and latency
	ReasonFixed                  // the policy keeps a fixed limit
	ReasonBound                  // held at a bound

	ReasonCustom Reason = 1000
)

// header is the start of the arena.
type header struct {
	Magic    uint32
	Major    uint16
	Minor    uint16
	InOff    uint32
	InCap    uint32
	OutOff   uint32
	OutCap   uint32
	Now      int64
	Sequence uint64
	Seed     uint64
	N        uint32
	RowsCap  uint32
	Flags    uint32
	Count    uint32
}

// initRecord is the in region of pf_init; ConfigLength bytes of JSON follow.
type initRecord struct {
	Capacity     int64
	MaxSlots     uint32
	ConfigLength uint32
}

// evictRecord is the in region of pf_evict.
type evictRecord struct {
	Need     int64
	Live     uint32
	MaxSlots uint32
}

// scaleOut is the out region of pf_scale.
type scaleOut struct {
	Limit  float64
	Reason uint32
}

// What a call returns below zero.
const (
	statusUnsupported = -1
	statusBadInput    = -2
	statusInternal    = -3
	statusWarmingUp   = -4
)

const (
	headerSize = 64
	arenaMagic = 'P' | 'F'<<8 | 'A'<<16 | '1'<<24
	arenaAlign = 16
)
