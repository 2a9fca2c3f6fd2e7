package tiered

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/features"
)

// Explanation says what the cache holds of a key and why.
type Explanation struct {
	Key      string `json:"key"`
	Resident bool   `json:"resident"`
	Fresh    bool   `json:"fresh"`
	// Purged: resident, and voided by a purge; it is not served.
	Purged bool `json:"purged,omitempty"`

	AgeSeconds       float64 `json:"age_s,omitempty"`        // since it was stored
	FreshForSeconds  float64 `json:"fresh_for_s,omitempty"`  // negative: over
	ExpiresInSeconds float64 `json:"expires_in_s,omitempty"` // until it leaves for its age
	LoadMillis       float64 `json:"load_ms,omitempty"`
	Weight           uint32  `json:"weight,omitempty"`
	Changed          uint32  `json:"changed"`   // reloads that found another value
	Unchanged        uint32  `json:"unchanged"` // reloads that found the same
	Prefetched       bool    `json:"prefetched,omitempty"`

	KeyHash policies.KeyHash `json:"key_hash"`
	Slot    policies.Slot    `json:"slot"` // under which policies know it
	// What is known of its past; Known is false where nothing is.
	Known      bool    `json:"known"`
	Count      float64 `json:"count"`
	Recency    float64 `json:"recency_s"` // since the last access; -1 = never
	RateSlow   float64 `json:"rate_slow"`
	RateFast   float64 `json:"rate_fast"`
	Trend      float64 `json:"trend"`
	Confidence float64 `json:"confidence"`
	Prediction float64 `json:"prediction"` // asked again within the horizon

	Policy  string `json:"policy"`            // the eviction policy
	Sampler bool   `json:"sampler,omitempty"` // it failed; the host makes room
}

// ErrNoKeyText is the error of calls that name a key by its text where the
// options do not say how to read one.
var ErrNoKeyText = errors.New("the keys of this cache cannot be read from text (Options.ParseKey)")

// parse reads the text of a key.
func (c *Cache[K, V]) parse(text string) (K, error) {
	if c.o.ParseKey == nil {
		var none K
		return none, ErrNoKeyText
	}
	key, err := c.o.ParseKey(text)
	if err != nil {
		return key, fmt.Errorf("key %.80q: %w", text, err)
	}
	return key, nil
}

// ExplainKey says what the first tier holds, and what is known, of the key with
// that text; false where the text is no key or nothing is known of it. It is no
// access.
func (c *Cache[K, V]) ExplainKey(text string) (Explanation, bool) {
	key, err := c.parse(text)
	if err != nil {
		return Explanation{Key: text}, false
	}
	x := Explanation{Key: text, Slot: policies.NoSlot}
	e, ok := c.l1.Explain(key)
	if !ok {
		x.KeyHash, _, _ = c.l1.Locate(key)
		past, known := c.l1.Features().Recent(x.KeyHash)
		if known {
			x.past(past)
		}
		s := c.l1.Stats()
		x.Policy, x.Sampler = s.Policy, s.Sampler
		return x, known
	}
	now, h := c.now(), e.Entry.Value
	x.Resident, x.Purged = true, c.void(key, h.asOf)
	x.Fresh = now < h.freshUntil && !x.Purged
	x.AgeSeconds, x.FreshForSeconds = seconds(now-h.storedAt), seconds(h.freshUntil-now)
	x.ExpiresInSeconds, x.Weight = e.Entry.ExpiresIn.Seconds(), e.Entry.Weight
	x.LoadMillis = float64(h.cost) / float64(time.Millisecond)
	x.Changed, x.Unchanged = h.changed, h.unchanged
	x.Prefetched = h.prefetch.Load() == prefetchIssued
	x.KeyHash, x.Slot, x.Policy, x.Sampler = e.KeyHash, e.Slot, e.Policy, e.Sampler
	if e.Known {
		x.past(e.Record)
	}
	return x, true
}

func (x *Explanation) past(r features.Record) {
	x.Known = true
	x.Count, x.Recency, x.RateSlow, x.RateFast = r.Count, r.Recency, r.Slow, r.Fast
	if math.IsInf(x.Recency, 0) {
		x.Recency = -1
	}
	x.Trend, x.Confidence, x.Prediction = r.Trend, r.Confidence, r.Prediction
}

// TopEntry is a line of [Cache.Top].
type TopEntry struct {
	Key             string  `json:"key"` // empty where keys have no text
	Weight          uint32  `json:"weight"`
	Count           float64 `json:"count"`      // accesses known, halved with time
	Recency         float64 `json:"recency_s"`  // since the last access; -1 = unknown
	RateSlow        float64 `json:"rate_slow"`  // accesses per minute
	Prediction      float64 `json:"prediction"` // asked again within the horizon
	AgeSeconds      float64 `json:"age_s"`
	FreshForSeconds float64 `json:"fresh_for_s"`
}

// Top lists up to n residents, the one that was asked for last first. Its cost
// is that of sorting all residents.
func (c *Cache[K, V]) Top(n int) []TopEntry {
	now := c.now()
	out := []TopEntry{}
	for _, e := range c.l1.Hottest(n) {
		t := TopEntry{
			Weight: e.Weight, Recency: -1, AgeSeconds: seconds(now - e.Value.storedAt), FreshForSeconds: seconds(e.Value.freshUntil - now),
		}
		if c.o.KeyString != nil {
			t.Key = c.o.KeyString(e.Key)
		}
		if x, ok := c.l1.Explain(e.Key); ok && x.Known {
			t.Count, t.RateSlow, t.Prediction = x.Record.Count, x.Record.Slow, x.Record.Prediction
			if !math.IsInf(x.Record.Recency, 0) {
				t.Recency = x.Record.Recency
			}
		}
		out = append(out, t)
	}
	return out
}

// DeleteKey is Delete for the key with that text, and reports whether the first
// tier had it. Errors: [ErrNoKeyText], those of Options.ParseKey.
func (c *Cache[K, V]) DeleteKey(ctx context.Context, text string) (bool, error) {
	key, err := c.parse(text)
	if err != nil {
		return false, err
	}
	_, had := c.resident(key)
	return had, c.Delete(ctx, key)
}

// ResidentCount returns the number of entries in the first tier.
func (c *Cache[K, V]) ResidentCount() int64 { return c.l1.Stats().Entries }

// Features returns what the first tier remembers about the past of its keys.
func (c *Cache[K, V]) Features() *features.Table { return c.l1.Features() }

// UseEviction seats another eviction policy; see [cache.Cache.UseEviction].
func (c *Cache[K, V]) UseEviction(ctx context.Context, create func(*features.Table) (policies.Orderer, error)) error {
	return c.l1.UseEviction(ctx, create)
}

// UseTTL seats another TTL policy and returns the former one; see
// [cache.Cache.UseTTL]. Entries keep the freshness they were given.
func (c *Cache[K, V]) UseTTL(p policies.TTL) policies.TTL { return c.l1.UseTTL(p) }

// Sync brings the first tier up to date; see [cache.Cache.Sync].
func (c *Cache[K, V]) Sync() { c.l1.Sync() }

// FlushL2 waits until all writes and deletes have reached the second tier, or
// for ctx.
func (c *Cache[K, V]) FlushL2(ctx context.Context) error {
	if c.l2 == nil {
		return nil
	}
	return c.l2.Flush(ctx)
}
