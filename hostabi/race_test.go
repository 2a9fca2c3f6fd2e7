//go:build race

package hostabi_test

// raceEnabled says that the race detector is on, under which compiling a Go
// guest takes twenty times as long.
const raceEnabled = true
