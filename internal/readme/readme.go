// Package readme holds the test that runs every command of the README, in its
// order, as a newcomer would: the daemon in the background, then the rest in a
// shell beside it. It must not know what the commands do; it knows what their
// output shall contain.
//
// A block of the README marked sh is run; one marked text shows output and is
// not. The daemon uses the default ports, because the commands do.
package readme
