package scheduler

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// A histogram counts durations in buckets that are linear within an octave:
// subBuckets to each power of two microseconds. A percentile read from it is
// the middle of a bucket, so it is off by at most 1/32 of its value, and by at
// most half a microsecond below subBuckets microseconds. Durations above
// about 71 minutes count as that.
const (
	subBits    = 4
	subBuckets = 1 << subBits
	maxOctave  = 32
	numBuckets = (maxOctave - subBits + 1) * subBuckets
)

// histogram is written by anyone without a lock. Counts wrap; readers take
// differences.
type histogram [numBuckets]atomic.Uint32

func (h *histogram) record(d int64) { h[bucketOf(d)].Add(1) }

// addTo adds the counts to c. Counts of work that ends meanwhile may be
// missing: they are in the next reading.
func (h *histogram) addTo(c *counts) {
	for i := range h {
		c[i] += h[i].Load()
	}
}

// counts is a reading of histograms.
type counts [numBuckets]uint32

// sub returns the counts since an earlier reading.
func (c *counts) sub(earlier *counts) (diff counts) {
	for i := range c {
		diff[i] = c[i] - earlier[i]
	}
	return diff
}

func (c *counts) total() (n uint64) {
	for _, v := range c {
		n += uint64(v)
	}
	return n
}

// percentile returns the duration below which the share q of all durations
// lies, where zeros more durations of 0 are counted too; 0 without any.
func (c *counts) percentile(q float64, zeros uint64) time.Duration {
	n := c.total() + zeros
	rank := uint64(q * float64(n))
	if n == 0 || rank < zeros {
		return 0
	}
	rank = min(rank-zeros, n-zeros-1)
	for i, v := range c {
		if rank < uint64(v) {
			return bucketMiddle(i)
		}
		rank -= uint64(v)
	}
	return 0
}

// bucketOf returns the bucket of a duration in nanoseconds.
func bucketOf(d int64) int {
	v := uint64(max(d, 0)) / 1000
	if v < subBuckets {
		return int(v)
	}
	octave := bits.Len64(v) - 1
	if octave >= maxOctave {
		return numBuckets - 1
	}
	sub := int(v>>(octave-subBits)) - subBuckets
	return (octave-subBits+1)*subBuckets + sub
}

// bucketMiddle returns the middle of a bucket.
func bucketMiddle(i int) time.Duration {
	if i < subBuckets {
		return time.Duration(i)*time.Microsecond + 500*time.Nanosecond
	}
	shift := i/subBuckets - 1
	low := uint64(subBuckets+i%subBuckets) << shift
	width := uint64(1) << shift
	return time.Duration(low*1000 + width*500)
}
