// Package policytest tests policies natively, without a host: it makes batches,
// settings and streams of accesses, and has the checks that every policy must
// pass.
//
//   - [Rows] makes a batch from what each row should say.
//   - [Start] configures a policy as a host would.
//   - [Cache] is a small cache that an eviction policy keeps in order.
//   - [Check] runs the suite of every kind that the served policy decides: answers
//     are in range, victims resident and distinct, and the same inputs get the same
//     answers.
//
// A test reads:
//
//	func TestHotKeysLiveLonger(t *testing.T) {
//		p := policytest.Start(t, &heat{}, `{"stretch": 4}`)
//		out := make([]float64, 2)
//		p.TTL(policytest.Rows(
//			policytest.Row{policy.BaseTTL: 60, policy.RateSlow: 0},
//			policytest.Row{policy.BaseTTL: 60, policy.RateSlow: 100},
//		), out)
//		...
//
// It must not know how a module is run: what the host adds (bounds, fuel, memory)
// is checked by "perfopt policy test".
package policytest

import (
	"math"
	"testing"

	"github.com/perfopt/perfopt/sdk/go/policy"
)

// Row says what the columns of one row hold; those not mentioned are NaN.
type Row map[policy.Column]float64

// Key returns the hash of key i: row i-1 of [Rows] has it.
func Key(i int) policy.KeyHash { return policy.KeyHash(i) }

// Now is the moment of the batches of [Rows].
const Now policy.Nanos = 1_700_000_000_000_000_000

// Rows returns a batch of those rows, in which the columns that the served
// policy asks for and those that a row mentions are present. Row i has [Key] i+1.
func Rows(rows ...Row) *policy.Batch {
	var present []policy.Column
	seen := map[policy.Column]bool{}
	add := func(c policy.Column) {
		if !seen[c] {
			seen[c] = true
			present = append(present, c)
		}
	}
	if m, _, ok := policy.Served(); ok {
		for _, c := range append(append([]policy.Column{}, m.Columns...), m.Optional...) {
			add(c)
		}
	}
	keys := make([]policy.KeyHash, len(rows))
	for i, r := range rows {
		keys[i] = Key(i + 1)
		for c := range r {
			add(c)
		}
	}
	b := policy.NewBatch(Now, keys, present...)
	for i, r := range rows {
		for c, v := range r {
			b.F64(c)[i] = v
		}
	}
	return b
}

// Start gives a policy the settings that it would get from a host: those of the
// JSON object config, and the defaults of the served policy's schema. It
// returns p.
func Start[P any](t testing.TB, p P, config string) P {
	t.Helper()
	m, _, _ := policy.Served()
	c, err := policy.NewConfig(m.Config, config, 1)
	if err != nil {
		t.Fatalf("config %s: %v", config, err)
	}
	if i, ok := any(p).(policy.Init); ok {
		if err := i.Init(c); err != nil {
			t.Fatalf("Init: %v", err)
		}
	}
	return p
}

// sample returns a batch of n rows with plausible values in every column, some
// of them at their bounds; round varies them.
func sample(m policy.Manifest, n int, round uint64) *policy.Batch {
	rows := make([]Row, n)
	r := mix(round)
	next := func() float64 {
		r = mix(r)
		return float64(r>>11) / (1 << 53)
	}
	for i := range rows {
		rate := 100 * next() * next()
		rows[i] = Row{
			policy.Freq: math.Floor(64 * next()), policy.Recency: 1000 * next(), policy.RateSlow: rate,
			policy.RateFast: rate * 2 * next(), policy.Trend: next() - 0.5, policy.TimeOfDay: next(),
			policy.Confidence: next(), policy.Prediction: next(), policy.Size: math.Ceil(1e5 * next()),
			policy.LoadCost: 50 * next(), policy.Age: 100 * next(), policy.TTLLeft: 120*next() - 20,
			policy.BaseTTL: 60, policy.OriginTTL: 300 * next(), policy.MinTTL: 1, policy.MaxTTL: 3600,
			policy.Changed: math.Floor(8 * next()), policy.Unchanged: math.Floor(8 * next()),
			policy.Resident: math.Round(next()), policy.NextAccess: 60 * next(),
		}
		switch i % 8 {
		case 1:
			rows[i][policy.OriginTTL] = math.NaN()
		case 2:
			rows[i][policy.LoadCost], rows[i][policy.Freq] = 0, 0
		case 3:
			rows[i][policy.TTLLeft], rows[i][policy.NextAccess] = math.Inf(1), math.Inf(1)
		}
	}
	b := Rows(rows...)
	for _, c := range m.Optional {
		for i := range b.F64(c) {
			if i%2 == 1 {
				b.F64(c)[i] = math.NaN()
			}
		}
	}
	return b
}

// mix is the finaliser of SplitMix64 (Steele, Lea, Flood, 2014): numbers that
// are the same on every machine.
func mix(x uint64) uint64 {
	x += 0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}
