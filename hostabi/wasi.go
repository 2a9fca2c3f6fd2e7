package hostabi

import (
	"encoding/binary"
	"fmt"

	"github.com/tetratelabs/wazero/api"

	"github.com/perfopt/perfopt/policies"
)

// Error numbers of wasi_snapshot_preview1.
const (
	errnoSuccess    = 0
	errnoBadFile    = 8
	errnoFault      = 21
	errnoNotCapable = 76
)

// wasiFunctions are the system calls that the runtime of a Go guest makes.
// Nothing is given away: there are no arguments, no environment and no files,
// the clock is that of the call's question, and randomness comes from the
// seed. So a guest that does not need them behaves, and one that does finds
// out cleanly.
func wasiFunctions() map[string]hostFunction {
	answer := func(errno uint64) hostFunction {
		return func(_ *guest, _ api.Memory, stack []uint64) { stack[0] = errno }
	}
	nothing := func(_ *guest, mem api.Memory, stack []uint64) { // two sizes, both 0
		ok := mem.WriteUint32Le(uint32(stack[0]), 0) && mem.WriteUint32Le(uint32(stack[1]), 0)
		stack[0] = errno(ok)
	}
	return map[string]hostFunction{
		"args_get":            answer(errnoSuccess),
		"args_sizes_get":      nothing,
		"environ_get":         answer(errnoSuccess),
		"environ_sizes_get":   nothing,
		"clock_time_get":      (*guest).wasiClock,
		"fd_close":            answer(errnoBadFile),
		"fd_fdstat_get":       answer(errnoNotCapable),
		"fd_fdstat_set_flags": answer(errnoNotCapable),
		"fd_filestat_get":     answer(errnoNotCapable),
		"fd_prestat_dir_name": answer(errnoNotCapable),
		"fd_prestat_get":      answer(errnoBadFile), // ends the search for open folders
		"fd_read":             answer(errnoNotCapable),
		"fd_write":            (*guest).wasiWrite,
		"path_filestat_get":   answer(errnoNotCapable),
		"path_open":           answer(errnoNotCapable),
		"poll_oneoff":         (*guest).wasiPoll,
		"proc_exit":           (*guest).wasiExit,
		"random_get":          (*guest).wasiRandom,
		"sched_yield":         answer(errnoSuccess),
	}
}

func errno(ok bool) uint64 {
	if ok {
		return errnoSuccess
	}
	return errnoFault
}

func (g *guest) wasiClock(mem api.Memory, stack []uint64) {
	// A Go guest's runtime refuses to start at moment 0.
	stack[0] = errno(mem.WriteUint64Le(uint32(stack[2]), uint64(max(g.now+g.slept, 1))))
}

// wasiWrite takes what is written to standard output and error, and keeps its
// beginning: a Go guest that panics says why there.
func (g *guest) wasiWrite(mem api.Memory, stack []uint64) {
	fd, vectors, count, written := uint32(stack[0]), uint32(stack[1]), uint32(stack[2]), uint32(stack[3])
	if fd != 1 && fd != 2 {
		stack[0] = errnoBadFile
		return
	}
	total := uint32(0)
	for i := range min(count, 16) {
		address, ok1 := mem.ReadUint32Le(vectors + 8*i)
		length, ok2 := mem.ReadUint32Le(vectors + 8*i + 4)
		text, ok3 := mem.Read(address, length)
		if !ok1 || !ok2 || !ok3 {
			stack[0] = errnoFault
			return
		}
		g.stderr.write(text)
		total += length
	}
	stack[0] = errno(mem.WriteUint32Le(written, total))
}

// wasiPoll serves a sleep by moving the guest's clock on at once. Nothing else
// can be waited for.
func (g *guest) wasiPoll(mem api.Memory, stack []uint64) {
	const subscriptionSize, eventSize = 48, 32
	in, out, count, events := uint32(stack[0]), uint32(stack[1]), uint32(stack[2]), uint32(stack[3])
	s, ok := mem.Read(in, subscriptionSize)
	if !ok {
		stack[0] = errnoFault
		return
	}
	if count != 1 || s[8] != 0 { // one clock
		stack[0] = errnoNotCapable
		return
	}
	wait := policies.Nanos(min(binary.LittleEndian.Uint64(s[24:]), 1<<62))
	if s[40]&1 != 0 { // a moment, not a span
		wait -= g.now + g.slept
	}
	g.slept += max(min(wait, 3600e9), 0)
	var event [eventSize]byte
	copy(event[:8], s[:8]) // the caller's mark
	stack[0] = errno(mem.Write(out, event[:]) && mem.WriteUint32Le(events, 1))
}

func (g *guest) wasiExit(_ api.Memory, stack []uint64) {
	panic(fmt.Errorf("the module ended itself with exit code %d", uint32(stack[0])))
}

func (g *guest) wasiRandom(mem api.Memory, stack []uint64) {
	address, length := uint32(stack[0]), uint32(stack[1])
	if length > 1<<16 {
		stack[0] = errnoFault
		return
	}
	block, ok := mem.Read(address, length)
	if ok {
		g.random.fill(block)
	}
	stack[0] = errno(ok)
}

// random is SplitMix64 (Steele, Lea and Flood, 2014): the same seed gives the
// same numbers, and nobody relies on them being secret.
type random struct{ state uint64 }

func (r *random) next() uint64 {
	r.state += 0x9E3779B97F4A7C15
	z := r.state
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

func (r *random) fill(p []byte) {
	for len(p) >= 8 {
		binary.LittleEndian.PutUint64(p, r.next())
		p = p[8:]
	}
	for i, v := 0, r.next(); i < len(p); i++ {
		p[i] = byte(v >> (8 * i))
	}
}
