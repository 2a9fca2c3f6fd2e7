package policy

// Batch is a batch of candidates, one row each, as a struct of arrays. It
// belongs to the host: nothing of it may be kept after the call.
type Batch struct {
	now     Nanos
	keys    []KeyHash
	columns [numColumns][]float64
}

// NewBatch returns a batch of those keys with the given columns, all NaN, for
// tests.
func NewBatch(now Nanos, keys []KeyHash, columns ...Column) *Batch {
	b := &Batch{now: now, keys: keys}
	for _, c := range columns {
		b.columns[c] = make([]float64, len(keys))
		for i := range b.columns[c] {
			b.columns[c][i] = nan()
		}
	}
	return b
}

// Len returns the number of rows.
func (b *Batch) Len() int { return len(b.keys) }

// Now returns the moment of the question on the host's clock; in a replay that
// is the trace's.
func (b *Batch) Now() Nanos { return b.now }

// Keys returns the hashes of the rows' keys.
func (b *Batch) Keys() []KeyHash { return b.keys }

// F64 returns a column, one value a row. It panics where the manifest did not
// ask for the column.
func (b *Batch) F64(c Column) []float64 {
	col := b.columns[c]
	if col == nil {
		panic("policy: column " + c.String() + " is not in Manifest.Columns")
	}
	return col
}

// String returns the name of the column in a manifest.
func (c Column) String() string {
	if c < numColumns {
		return columnNames[c]
	}
	return "unknown"
}
