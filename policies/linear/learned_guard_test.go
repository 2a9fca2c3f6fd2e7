package linear

import "testing"

// TestGuardTakesOverAndGivesBack: the cache misses all of what a shadow of the
// same size would hit.
func TestGuardTakesOverAndGivesBack(t *testing.T) {
	var c clock
	c.resize(100)
	var g shadow
	g.resize(&c)
	if !g.watches(1<<32 - 1) {
		t.Fatal("a small cache is not watched as a whole")
	}
	access := func(i int, hit bool) {
		c.now++
		g.access(uint32(i%50), hit)
		g.access(uint32(i)+1<<20, false) // a stream that the shadow misses too
	}
	for i := range 100 {
		access(i, i >= 50)
	}
	if g.active {
		t.Fatal("active before anything was missed that the shadow hits")
	}
	for i := range 200 {
		access(i, false)
	}
	if !g.active {
		t.Fatal("not active although the cache misses what the shadow hits")
	}
	for i := range guardTerm*100 + 1 {
		access(i, true)
	}
	if g.active {
		t.Error("active after its time although the cache hits what the shadow hits")
	}
}

func TestALargeCacheIsWatchedByASample(t *testing.T) {
	var c clock
	c.resize(1 << 20)
	var g shadow
	g.resize(&c)
	if g.limit != shadowMost || g.watches(1<<23) || !g.watches(1<<21) {
		t.Errorf("limit %d, keys up to %x; want %d and a thousandth of the keys", g.limit, g.most, shadowMost)
	}
}
