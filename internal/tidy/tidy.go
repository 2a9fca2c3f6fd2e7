// Package tidy holds the house rules of this repository as ordinary tests: who
// may import whom, which package alone may touch which third-party module,
// how long a file may be, that every package says what it is for and what it
// must not know, that tests do not sleep.
//
// The rules are tables at the top of tidy_test.go; a change of the house
// changes them and docs/architecture.md in the same commit. The package holds
// no code: everything is in its tests, which read the sources of the
// repository around it and must not know what any of them does.
package tidy
