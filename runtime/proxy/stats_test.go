package proxy

import (
	"math"
	"testing"
	"time"
)

func TestPercentilesAreCloseEnough(t *testing.T) {
	for us := int64(1); us < 100_000_000; us = us*9/8 + 1 {
		got := bucketMiddle(bucketOf(time.Duration(us)*time.Microsecond)) * 1000
		// Below a bucket of several microseconds, the middle of one of 1 us.
		if math.Abs(got-float64(us)) > max(0.07*float64(us), 0.5) {
			t.Errorf("%d us are counted as %v us", us, got)
		}
	}
	if got := bucketOf(time.Hour); got != histogramBuckets-1 {
		t.Errorf("an hour is in bucket %d", got)
	}
}

func TestPercentilesForgetOldMinutes(t *testing.T) {
	var s outcomeStats
	var all [histogramBuckets]uint64
	minute := int64(time.Minute)
	for i := range 100 {
		s.add(10*minute, time.Duration(i+1)*time.Millisecond, 1)
	}
	snap := s.snapshot(Hit, 11*minute, &all)
	if snap.Count != 100 || snap.Bytes != 100 || math.Abs(snap.P50-50) > 5 || math.Abs(snap.P95-95) > 8 || math.Abs(snap.P99-99) > 8 {
		t.Errorf("after a minute: %+v", snap)
	}
	if got := mean(&all); math.Abs(got-50.5) > 4 {
		t.Errorf("mean %v", got)
	}
	if snap := s.snapshot(Hit, 12*minute, &all); snap.Count != 100 || snap.P50 != 0 {
		t.Errorf("after two minutes: %+v", snap)
	}
	s.add(12*minute, time.Second, 1) // empties the histogram of minute 10
	if snap := s.snapshot(Hit, 12*minute, &all); math.Abs(snap.P50-1000) > 70 {
		t.Errorf("a new minute: %+v", snap)
	}
}
