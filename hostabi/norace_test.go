//go:build !race

package hostabi_test

const raceEnabled = false
