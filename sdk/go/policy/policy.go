// Package policy is what a perfopt policy written in Go is made of. A policy is
// a value with one small method per decision and a manifest:
//
//	type heat struct{}
//
//	func (heat) TTL(b *policy.Batch, out []float64) error {
//		base, rate := b.F64(policy.BaseTTL), b.F64(policy.RateSlow)
//		for i := range out {
//			out[i] = base[i] * (1 + rate[i])
//		}
//		return nil
//	}
//
//	func init() {
//		policy.Serve(policy.Manifest{
//			Name:    "heat",
//			Columns: []policy.Column{policy.BaseTTL, policy.RateSlow},
//		}, heat{})
//	}
//
//	func main() {}
//
// built by the plain Go toolchain:
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -ldflags='-s -w' -o heat.wasm
//
// The decisions are [TTL], [Scorer] or [Orderer] (eviction), [Prefetch] and
// [Scaling]; a value may implement several. [Batch] gives the columns asked for
// in the [Manifest], [Events] the stream of accesses, [Config] the settings.
// [Init] and [Stateful] are optional. For every other target than wasip1 the
// package is an ordinary library, so that a policy is tested with plain
// "go test"; package policytest has what such tests need.
//
// Caveats. Time and randomness come from the host ([Batch.Now], [Config.Seed]):
// the clock of package time stands still, files, network and environment are
// not there, and sleeping ends the call. One goroutine calls a policy, one call
// at a time. Slices that a method is given are the host's memory: they are
// valid during the call only. A call has a budget of work; what allocates on
// every call will run the collector inside of it, so size memory in Init or
// Reset. A panic ends the instance, and the host decides by itself until
// another one has taken its place.
//
// This package must not know how a host runs a module; the records, in
// records_gen.go, are generated from the host's description of its interface.
package policy

// Serve makes p the policy of this module. Call it once, from func init of
// package main; p implements at least one of [TTL], [Scorer], [Orderer],
// [Prefetch] and [Scaling]. It panics where the manifest or p cannot be served,
// saying why: plain "go test" shows that before any module is built.
func Serve(m Manifest, p any) {
	if served != nil {
		panic("policy.Serve: called twice; a module serves one policy")
	}
	g, err := newGuest(m, p)
	if err != nil {
		panic("policy.Serve: " + err.Error())
	}
	served = g
}

// served is the module's one policy. The exports of a WebAssembly module are
// plain functions, so they can only find it here.
var served *guest

// Served returns what was given to [Serve]: tests check it without repeating
// it. ok is false before.
func Served() (m Manifest, p any, ok bool) {
	if served == nil {
		return Manifest{}, nil, false
	}
	return served.manifest, served.policy, true
}
