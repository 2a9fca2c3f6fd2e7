package policies

// Orderer decides evictions from the stream of events over slots.
//
// The host calls Reset first and again after every start, swap or fault, then
// shows the residents as restore events, then what happens. Events come in
// batches whose order is the order of the accesses; the host always shows
// everything it has before it asks for victims. Called by one goroutine at a
// time. A method that returns an error has committed a [Fault]; the instance
// is not used again.
type Orderer interface {
	Info() Info
	// Reset makes the policy empty and ready for a cache of that capacity.
	Reset(c Capacity) error
	// Observe shows a batch of events; inserts has one row for each event
	// whose Op HasInsert, in their order. Both belong to the host and must not
	// be kept.
	Observe(events []Event, inserts []Insert) error
	// Victims names entries to evict, most evictable first, until their
	// weights reach need (in units of weight) or out is full, and returns how
	// many. A named victim has left the order: no remove event follows. The
	// newest entry may be named: that is admission. Fewer than needed is
	// allowed: the host asks again or makes room by itself.
	Victims(need int64, out []Slot) (n int, err error)
}

// Scorer decides evictions by scoring a sample of the residents: the lowest
// score goes first. Called by one goroutine at a time.
type Scorer interface {
	Info() Info
	// Score writes one score a row. NaN is a fault.
	Score(in *Candidates, out []float64) error
}

// TTL decides how long entries stay fresh. A pure function of its columns: the
// host may use several instances.
type TTL interface {
	Info() Info
	// TTL writes one lifetime a row. The host clamps it to the row's bounds; a
	// negative one is a fault.
	TTL(in *TTLBatch, out []Nanos) error
}

// Prefetch decides what to load before it is asked for. Called by one
// goroutine at a time.
type Prefetch interface {
	Info() Info
	// Observe shows a batch of events as in [Orderer]; misses are among them,
	// so that a successor can be learnt.
	Observe(events []Event, inserts []Insert) error
	// Propose writes the keys to load, best first, at most budget of them, and
	// returns how many. Only keys that it was shown (as candidates or in an
	// event) may be proposed; others are faults.
	Propose(in *Candidates, budget int, out []KeyHash) (n int, err error)
}

// Scaling decides how much work may be in flight. Called by one goroutine at a
// time, once a tick.
type Scaling interface {
	Info() Info
	// Limit returns the next limit and why. The host clamps it to the load's
	// bounds and to half and one and a half times the present limit.
	Limit(in *Load) (limit float64, reason Reason, err error)
}

// Load is what a scaling policy sees of a tick.
type Load struct {
	Now Nanos // moment of the question on the host's clock
	// Tick counts the questions since the policy was seated, from 1.
	Tick uint64

	Limit    float64 // present limit, in units of in-flight work
	MinLimit float64 // lower bound of the answer
	MaxLimit float64 // upper bound of the answer

	InFlight    float64                // work in flight at this moment
	MaxInFlight float64                // highest in flight since the last tick
	Queued      [NumPriorities]float64 // waiting work by priority, most important first

	CPU       float64 // share of what limits this process that is used, 0..1 (1 = all of it)
	Memory    float64 // likewise for memory, 0..1
	Throttled float64 // share of CPU periods that were throttled, 0..1

	ErrorRate   float64 // failed over completed work of the window, 0..1; our own rejections do not count
	MeanMillis  float64 // mean latency of work completed in the window; NaN without completions
	P50Millis   float64
	P95Millis   float64
	P99Millis   float64
	Target      float64 // target latency in milliseconds; NaN = "auto" without a baseline yet
	Baseline    float64 // probed latency without queueing in milliseconds; NaN = unknown
	Completions float64 // work completed in the window
	Arrivals    float64 // work that asked for admission, per second
	Throughput  float64 // work completed, per second
	Rejected    float64 // work rejected, per second
	WindowNanos float64 // length of the window in nanoseconds
}

// NumPriorities is the number of priorities of the scheduler.
const NumPriorities = 5

// Reason says why a scaling policy chose its limit.
type Reason uint32

// The reasons. A module may use numbers from [ReasonCustom] on.
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

var reasonNames = [...]string{
	"hold", "grow", "cpu", "memory", "errors", "latency", "window", "unstable", "unused", "undo",
	"probe", "gradient", "fixed", "bound",
}

// String returns the name of the reason.
func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return "custom"
}
