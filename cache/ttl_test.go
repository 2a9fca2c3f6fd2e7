package cache_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/perfopt/perfopt/cache"
	"github.com/perfopt/perfopt/policies"
)

// ttlFunc is a TTL policy of one function over a row.
type ttlFunc func(in *policies.TTLBatch) (policies.Nanos, error)

func (f ttlFunc) Info() policies.Info {
	return policies.Info{Name: "func", Kind: policies.KindTTL, Columns: []policies.Column{
		policies.ColFreq, policies.ColBaseTTL, policies.ColOriginTTL, policies.ColMinTTL, policies.ColMaxTTL,
		policies.ColSize, policies.ColLoadCost, policies.ColChanged, policies.ColUnchanged,
	}}
}

func (f ttlFunc) TTL(in *policies.TTLBatch, out []policies.Nanos) (err error) {
	out[0], err = f(in)
	return err
}

func TestDecideTTL(t *testing.T) {
	seconds := func(n float64) cache.TTLInput { return cache.TTLInput{Base: time.Duration(n * 1e9), Origin: -1} }
	fixed := func(d time.Duration) ttlFunc {
		return func(*policies.TTLBatch) (policies.Nanos, error) { return policies.Nanos(d), nil }
	}
	for name, s := range map[string]struct {
		policy  policies.TTL
		base    time.Duration
		in      cache.TTLInput
		want    time.Duration
		faulted bool
	}{
		"nothing":             {nil, 0, cache.TTLInput{}, -1, false},
		"default":             {nil, time.Minute, cache.TTLInput{}, time.Minute, false},
		"base":                {nil, time.Minute, seconds(5), 5 * time.Second, false},
		"base in bounds":      {nil, 0, cache.TTLInput{Base: time.Hour, Origin: -1, Max: time.Minute}, time.Minute, false},
		"policy":              {fixed(7 * time.Second), time.Minute, cache.TTLInput{}, 7 * time.Second, false},
		"min":                 {fixed(time.Second), 0, cache.TTLInput{Origin: -1, Min: time.Minute}, time.Minute, false},
		"origin beats min":    {fixed(time.Hour), 0, cache.TTLInput{Origin: time.Second, Min: time.Minute}, time.Second, false},
		"explicit zero":       {fixed(time.Hour), 0, cache.TTLInput{Base: time.Hour, Origin: 0}, 0, false},
		"error is the base":   {ttlFunc(func(*policies.TTLBatch) (policies.Nanos, error) { return 1, errors.New("no") }), time.Minute, cache.TTLInput{}, time.Minute, true},
		"panic is the base":   {ttlFunc(func(*policies.TTLBatch) (policies.Nanos, error) { panic("no") }), time.Minute, cache.TTLInput{}, time.Minute, true},
		"negative is a fault": {fixed(-1), time.Minute, cache.TTLInput{}, time.Minute, true},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCache(t, cache.Options[string, int]{Capacity: 10, TTL: s.policy, DefaultTTL: s.base})
			if got := c.DecideTTL("k", s.in); got != s.want {
				t.Errorf("%v, want %v", got, s.want)
			}
			if st := c.Stats(); (st.TTLFaults > 0) != s.faulted {
				t.Errorf("%d faults", st.TTLFaults)
			}
		})
	}
}

func TestATTLPolicySeesTheQuestionAndThePast(t *testing.T) {
	var rows []map[policies.Column]float64
	p := ttlFunc(nil)
	columns := p.Info().Columns
	p = func(in *policies.TTLBatch) (policies.Nanos, error) {
		row := map[policies.Column]float64{}
		for _, c := range columns {
			row[c] = in.Value(c, 0)
		}
		rows = append(rows, row)
		return policies.Nanos(time.Minute), nil
	}
	now := policies.Nanos(1e18)
	c := newCache(t, cache.Options[string, int]{
		Capacity: 100, Inline: true, TTL: p, Now: func() policies.Nanos { return now },
		Weigher: func(_ string, v int) uint32 { return uint32(v) },
	})
	c.Set("k", 5)
	for range 3 {
		c.Get("k")
	}
	c.Sync()
	c.SetWith("k", 6, cache.Write{LoadCost: 20 * time.Millisecond, Decide: cache.TTLInput{
		Base: time.Second, Origin: time.Hour, Min: time.Second, Max: 2 * time.Minute, Changed: 2, Unchanged: 3,
	}})
	if e, _ := c.Peek("k"); e.ExpiresIn != time.Minute {
		t.Errorf("the entry lives %v", e.ExpiresIn)
	}
	first, second := rows[0], rows[1]
	if first[policies.ColFreq] != 0 || !math.IsNaN(first[policies.ColOriginTTL]) || !math.IsInf(first[policies.ColMaxTTL], 1) || first[policies.ColSize] != 5 {
		t.Errorf("first question %v", first)
	}
	for c, want := range map[policies.Column]float64{
		policies.ColBaseTTL: 1, policies.ColOriginTTL: 3600, policies.ColMinTTL: 1, policies.ColMaxTTL: 120,
		policies.ColSize: 6, policies.ColLoadCost: 20, policies.ColChanged: 2, policies.ColUnchanged: 3,
	} {
		if second[c] != want {
			t.Errorf("column %v = %v, want %v", c, second[c], want)
		}
	}
	if f := second[policies.ColFreq]; f < 3.5 || f > 4.5 {
		t.Errorf("4 accesses are known as %v", f)
	}
}

func TestUseTTLReturnsTheFormerPolicy(t *testing.T) {
	a := ttlFunc(func(*policies.TTLBatch) (policies.Nanos, error) { return 1e9, nil })
	c := newCache(t, cache.Options[int, int]{Capacity: 10})
	if former := c.UseTTL(a); former != nil {
		t.Errorf("former %v", former)
	}
	if st := c.Stats(); st.TTLPolicy != "func" {
		t.Errorf("%+v", st)
	}
	if former := c.UseTTL(nil); former == nil || former.Info().Name != "func" {
		t.Errorf("former %v", former)
	}
	if got := c.DecideTTL(1, cache.TTLInput{}); got != -1 {
		t.Errorf("without a policy: %v", got)
	}
}
