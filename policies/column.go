package policies

import "math"

// Column is one input feature of a batch of candidates. Every column is a
// float64 per row; NaN means unknown.
type Column uint8

// The columns, in the order of the ABI. New ones are appended.
const (
	ColFreq       Column = iota // accesses known, halved with time; 0..63
	ColRecency                  // seconds since the last access; >= 0
	ColRateSlow                 // accesses per minute, half-life 10 min
	ColRateFast                 // accesses per minute, half-life 1 min
	ColTrend                    // (fast - slow) / 9, accesses per minute per minute; may be negative
	ColTimeOfDay                // request rate of this hour over that of the busiest hour, 0..1; 0.5 until a day was seen
	ColConfidence               // n / (n + 4), 0..1
	ColPrediction               // the built-in predictor: probability that the key is asked again within its horizon, 0..1
	ColSize                     // weight of the entry: bytes, or 1 where the capacity counts objects
	ColLoadCost                 // milliseconds that loading took; 0 = unknown
	ColAge                      // seconds since the entry was written
	ColTTLLeft                  // seconds until the entry expires; negative = expired; +Inf = never
	ColBaseTTL                  // seconds: the origin's freshness, or the default of the route or cache
	ColOriginTTL                // seconds of explicit freshness from the origin; NaN = none. An upper bound that nothing raises
	ColMinTTL                   // seconds: lower bound of the answer
	ColMaxTTL                   // seconds: upper bound of the answer
	ColChanged                  // times a reload found the value changed
	ColUnchanged                // times a reload or validation found the value unchanged
	ColResident                 // 1 = resident, 0 = recently evicted or missed
	ColNextAccess               // seconds until the next access as predicted from the slow rate; +Inf = unknown

	NumColumns // number of columns
)

var columnNames = [NumColumns]string{
	"freq", "recency_s", "rate_slow", "rate_fast", "trend", "tod", "confidence", "prediction",
	"size", "load_ms", "age_s", "ttl_left_s", "base_ttl_s", "origin_ttl_s", "min_ttl_s", "max_ttl_s",
	"changed", "unchanged", "resident", "next_access_s",
}

// String returns the feature name under which a module asks for the column.
func (c Column) String() string {
	if c < NumColumns {
		return columnNames[c]
	}
	return "unknown"
}

// ParseColumn returns the column of that feature name.
func ParseColumn(name string) (Column, bool) {
	for c, n := range columnNames {
		if n == name {
			return Column(c), true
		}
	}
	return 0, false
}

// Rows is a batch of candidates as a struct of arrays. The host owns it and
// reuses it: a policy must not keep a slice of it after returning.
type Rows struct {
	// Now is the moment of the question on the host's clock.
	Now Nanos
	// KeyHash has one hash a row; its length is the number of rows.
	KeyHash []KeyHash

	columns [NumColumns][]float64
}

// Len returns the number of rows.
func (r *Rows) Len() int { return len(r.KeyHash) }

// Column returns the values of a column, one a row, or nil where the host did
// not provide it.
func (r *Rows) Column(c Column) []float64 { return r.columns[c] }

// Resize makes r hold n rows with exactly the given columns, reusing memory.
// The contents are unspecified: the host fills them next.
func (r *Rows) Resize(n int, columns []Column) {
	r.KeyHash = resize(r.KeyHash, n)
	var want [NumColumns]bool
	for _, c := range columns {
		want[c] = true
	}
	for c := range r.columns {
		if want[c] {
			r.columns[c] = resize(r.columns[c], n)
		} else {
			r.columns[c] = nil
		}
	}
}

// Set stores a value where the column is provided and does nothing elsewhere.
func (r *Rows) Set(c Column, row int, v float64) {
	if col := r.columns[c]; col != nil {
		col[row] = v
	}
}

// Value returns a value, NaN where the column is not provided.
func (r *Rows) Value(c Column, row int) float64 {
	if col := r.columns[c]; col != nil {
		return col[row]
	}
	return math.NaN()
}

func resize[T any](s []T, n int) []T {
	if cap(s) >= n {
		return s[:n]
	}
	return make([]T, n, max(n, 2*cap(s)))
}

// Candidates are entries (and, for prefetch, recently seen keys) that a
// policy chooses among.
type Candidates struct{ Rows }

// TTLBatch are entries about to be written or revalidated.
type TTLBatch struct{ Rows }
