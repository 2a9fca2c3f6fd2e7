//go:build race

package trace

// raceDetector says that the race detector is on, under which decoding and
// replaying are ten times slower: tests that have one goroutine take fewer
// traces then.
const raceDetector = true
