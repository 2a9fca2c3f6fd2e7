// Package cache is perfopt's first tier: a bounded map in memory whose evictions
// and lifetimes are decided by policies that can be exchanged while it runs.
//
//   - [Cache] is the map, made by [New] from [Options]; its verbs are Get, Set,
//     Delete, GetOrLoad and, for values loaded elsewhere, Begin and Fill.
//   - [Cache.UseEviction] and [Cache.UseTTL] exchange policies.
//   - [Stats], [Cache.Explain], [Cache.Hottest] say what goes on.
//
// How it works. Power-of-two shards index immutable entries in lines of 64 bytes:
// seven tags, an overflow count, seven pointers. A hit is a few atomic loads
// and a record (slot, position) in one of several lossy rings: no lock, no
// policy, no allocation, whichever policy is seated. A write takes its shard's
// lock and leaves a record in the shard's queue, which loses nothing.
// Maintenance, one goroutine, reads rings, then queues, then delivers what
// happened to features and to the policy in batches of at most 1,024 events, and
// evicts what the policy names the moment it is named. A slot is used again only
// behind its removal in that same stream. What a policy no longer holds it is
// never shown. A writer that finds no room does a round of maintenance if nobody
// else does; else it evicts the coldest of a few random residents.
//
// Bounds. Without writes in progress the residents weigh at most
// [Options].Capacity and number at most MaxEntries. Each write in progress may
// exceed that by its own weight; it makes room before it returns. Caches of
// 4,096 entries and more keep 1/128 of the capacity free for the next writers.
//
// The package must not know where values come from, HTTP, a second tier, or how
// a policy was loaded. It calls policies, loaders, weighers and listeners under
// no lock but the turn, which serialises the eviction policy itself.
//
// Caveats. Lives are rounded up to a millisecond. Hits may be lost to the
// policy under load ([Stats].Recorded says how many were not); counts are exact.
// Hits are delivered after the writes of the same round, so their order is
// approximate; [Options].Inline gives the exact order, for one goroutine.
package cache
