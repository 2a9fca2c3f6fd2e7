package meter

import (
	"fmt"
	"unicode/utf8"
)

// reader reads the binary format from a bounded part of the module. The first
// error sticks; after it every read returns zero.
type reader struct {
	b   []byte
	pos int
	end int
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("byte %#x: %s", r.pos, fmt.Sprintf(format, args...))
		r.pos = r.end
	}
}

func (r *reader) more() bool { return r.err == nil && r.pos < r.end }

func (r *reader) byte() byte {
	if r.pos >= r.end {
		r.fail("unexpected end")
		return 0
	}
	c := r.b[r.pos]
	r.pos++
	return c
}

func (r *reader) skip(n int) {
	if n < 0 || n > r.end-r.pos {
		r.fail("unexpected end")
		return
	}
	r.pos += n
}

// u32 reads an unsigned LEB128 number of at most 32 bits.
func (r *reader) u32() uint32 {
	if r.pos < r.end && r.b[r.pos] < 0x80 { // most numbers
		r.pos++
		return uint32(r.b[r.pos-1])
	}
	var v uint32
	for shift := uint(0); ; shift += 7 {
		c := r.byte()
		if r.err != nil {
			return 0
		}
		if shift == 28 && c > 0x0F {
			r.fail("number does not fit 32 bits")
			return 0
		}
		v |= uint32(c&0x7F) << shift
		if c < 0x80 {
			return v
		}
	}
}

// signed reads a signed LEB128 number of at most that many bits.
func (r *reader) signed(bits uint) int64 {
	var v int64
	for shift := uint(0); ; shift += 7 {
		c := r.byte()
		if r.err != nil {
			return 0
		}
		v |= int64(c&0x7F) << shift
		last := shift+7 >= bits
		if last {
			// The unused bits must repeat the sign.
			used := bits - shift
			sign := int8(c<<1) >> used
			if c >= 0x80 || (sign != 0 && sign != -1) {
				r.fail("number does not fit %d bits", bits)
				return 0
			}
		}
		if c < 0x80 {
			if shift+7 < 64 && c&0x40 != 0 {
				v |= -1 << (shift + 7)
			}
			return v
		}
	}
}

func (r *reader) name() string {
	n := r.u32()
	if n > 1024 {
		r.fail("name of %d bytes, at most 1024 are allowed", n)
		return ""
	}
	start := r.pos
	r.skip(int(n))
	if r.err != nil {
		return ""
	}
	s := string(r.b[start:r.pos])
	if !utf8.ValidString(s) {
		r.fail("name is not UTF-8")
		return ""
	}
	return s
}

// count reads a vector's length, which every item takes at least a byte of.
func (r *reader) count(what string, limit int) int {
	n := r.u32()
	if int64(n) > int64(limit) {
		r.fail("%d %s, at most %d are allowed", n, what, limit)
		return 0
	}
	if int64(n) > int64(r.end-r.pos) {
		r.fail("%d %s do not fit what is left", n, what)
		return 0
	}
	return int(n)
}

func (r *reader) valueType() ValueType {
	t := ValueType(r.byte())
	if r.err == nil && t.String() == "unknown" {
		r.pos--
		r.fail("unknown value type %#x", byte(t))
	}
	return t
}

func (r *reader) refType() {
	if t := ValueType(r.byte()); r.err == nil && t != FuncRef && t != ExternRef {
		r.fail("unknown reference type %#x", byte(t))
	}
}

// limits reads the limits of a table or a memory; max is -1 where there is
// none.
func (r *reader) limits(what string) (minimum uint32, maximum int64) {
	flag := r.byte()
	switch {
	case r.err != nil:
		return 0, -1
	case flag&^1 == 2:
		r.fail("shared %s: threads are not supported", what)
	case flag > 3:
		r.fail("%s with limits flag %#x: 64-bit memories and custom page sizes are not supported", what, flag)
	}
	minimum = r.u32()
	if flag&1 == 1 {
		maximum = int64(r.u32())
		if r.err == nil && maximum < int64(minimum) {
			r.fail("%s with maximum %d below its minimum %d", what, maximum, minimum)
		}
		return minimum, maximum
	}
	return minimum, -1
}
