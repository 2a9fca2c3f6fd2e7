// Package peers compares perfopt's first tier with other Go caches, side by side
// in one run. It is a module of its own, so that nobody who uses perfopt
// downloads its peers.
//
// The benchmarks are TestMain-free Go benchmarks; run them with
//
//	GOMAXPROCS=2 go test -bench . -count 3
//
// Rows of one table share one configuration: 16-byte string keys, 64-byte
// values, 8 goroutines. "read" is all hits, Zipf 0.99 over 65,536 resident
// keys of a cache that is 80 % full; "mix" the same keys with 25 % writes;
// "evict" all writes, uniform over 1,048,576 keys at a capacity of 65,536.
// recorded/hit is the share of hits that reached the policy: a cache that drops
// its records would win the race and lose the point. Otter does not tell its
// share.
//
// The package must not be imported: it holds benchmarks only.
package peers
