// Package l2 is the second cache tier: values of a cache kept in a store that
// several processes share and that may be slow, away, frozen or wrong at any
// moment. It never fails a request and never holds one longer than its timeout.
//
// The main types, from the outside in:
//   - [Tier] is what a cache talks to: Get verifies and answers entry or
//     nothing; Fill, Put and Delete only queue and return at once.
//   - [Store] is the four commands that a tier needs from a server; [Redis] is
//     the implementation over one node, sentinel or cluster ([OpenRedis]).
//   - [Breaker] keeps calls away from a store that fails; the tier probes it
//     and recovers by itself, deletes first.
//   - [Entry] is a value with its times; [Seal] and [Open] wrap it into the
//     verified envelope in which it travels. Nothing that comes back is
//     trusted: whatever is wrong with it is a miss, counted, and deleted.
//
// A [Lease] ties a fill to the moment its load began: a delete or an explicit
// write of the key since then voids it (Nishtala et al., Scaling Memcache at
// Facebook, NSDI 2013, section 3.2.1, within one process).
//
// This package must not know what a value or a typed key is, which tier lies
// above it, or who asks. It alone imports the Redis client.
//
// Caveats. Queued deletes live in this process: those undelivered at its death
// are lost, and then an entry lives on until its own expiry. Moments inside of
// envelopes are wall clocks of the writers; clocks more than [MaxSkew] ahead
// are refused. The client library prints connection trouble to standard error
// through a logger that the whole process shares: see [QuietClient].
package l2

import (
	"context"
	"errors"
	"time"
)

// Store is a key-value server as a [Tier] needs it. Safe for concurrent use.
// A method honours its context's deadline.
type Store interface {
	// Get returns the value under key, at most the store's bound on values.
	// Errors: [ErrMiss] where there is none, [ErrForeign] where what lies
	// under the key cannot be an entry; any other error means that the store
	// did not do its work.
	Get(ctx context.Context, key string) ([]byte, error)
	// Set stores values, each for its TTL. [ErrRefused]: the store is alive
	// and did not take all of them.
	Set(ctx context.Context, items ...Item) error
	// Delete removes keys; absent ones are no error.
	Delete(ctx context.Context, keys ...string) error
	// Ping asks for a sign of life.
	Ping(ctx context.Context) error
	// Close releases the store's connections; calls in flight fail.
	Close() error
}

// Item is a value to store.
type Item struct {
	Key   string
	Value []byte
	TTL   time.Duration // greater than 0
}

// What a [Store] answers besides failing.
var (
	ErrMiss    = errors.New("no value under this key")
	ErrForeign = errors.New("the key holds something that is not an entry")
	ErrRefused = errors.New("the store did not take the value")
)

// Bounds of the second tier.
const (
	// DefaultTimeout bounds what a read of the store may add to a request.
	DefaultTimeout = 50 * time.Millisecond
	// DefaultMaxValue is the largest envelope that is stored or read, in bytes.
	DefaultMaxValue = 1 << 20
	// MaxSkew is how far in the future an entry may have been created before
	// it is taken for a forgery: other nodes' clocks differ a little.
	MaxSkew = 5 * time.Minute
)
