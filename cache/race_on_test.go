//go:build race

package cache_test

const raceEnabled = true // the detector makes long replays ten times longer
