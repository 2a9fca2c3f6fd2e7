package trace

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/cespare/xxhash/v2"
)

// Bounds of a line of text.
const (
	maxLineBytes     = 64 << 10
	maxJSONLineBytes = 16 << 20 // about 1.5 million blocks in one request
)

// lines cuts text into lines.
type lines struct {
	scan  *bufio.Scanner
	limit int
	count int64
}

func newLines(src io.Reader, limit int) lines {
	s := bufio.NewScanner(src)
	s.Buffer(make([]byte, 0, min(limit, 64<<10)), limit)
	return lines{scan: s, limit: limit}
}

// next returns the next line without white space around it, valid until the
// next call.
func (l *lines) next() ([]byte, error) {
	l.count++
	if l.scan.Scan() {
		return bytes.TrimSpace(l.scan.Bytes()), nil
	}
	switch err := l.scan.Err(); {
	case err == nil:
		return nil, io.EOF
	case errors.Is(err, bufio.ErrTooLong):
		return nil, fmt.Errorf("the line is longer than %d bytes", l.limit)
	default:
		return nil, err
	}
}

func (l *lines) position() string { return fmt.Sprintf("line %d", l.count) }

// lirsDecoder reads one key a line.
type lirsDecoder struct{ lines }

func (d *lirsDecoder) decode(dst []Access) (n int, err error) {
	for n < len(dst) {
		line, err := d.next()
		if err != nil {
			return n, err
		}
		if len(line) == 0 || (len(line) == 1 && line[0] == '*') {
			continue
		}
		key, ok := parseUint(line)
		if !ok {
			return n, fmt.Errorf("want a decimal key, got %q", clip(line))
		}
		dst[n] = Access{Key: key}
		n++
	}
	return n, nil
}

// maxRun bounds the accesses of one ARC line; real ones have up to some
// hundreds.
const maxRun = 1 << 20

// arcDecoder reads lines that stand for a run of keys.
type arcDecoder struct {
	lines
	start, left uint64 // what is left of the line's run
}

func (d *arcDecoder) decode(dst []Access) (n int, err error) {
	for n < len(dst) {
		if d.left == 0 {
			if err := d.run(); err != nil {
				return n, err
			}
		}
		k := min(uint64(len(dst)-n), d.left)
		for i := range k {
			dst[n] = Access{Key: d.start + i}
			n++
		}
		d.start += k
		d.left -= k
	}
	return n, nil
}

// run reads the next line; left may be 0 after it.
func (d *arcDecoder) run() error {
	line, err := d.next()
	if err != nil || len(line) == 0 {
		return err
	}
	var numbers [4]uint64
	var fields int
	for field := range bytes.FieldsSeq(line) {
		v, ok := parseUint(field)
		if !ok || fields == len(numbers) {
			fields = -1
			break
		}
		numbers[fields] = v
		fields++
	}
	if fields != len(numbers) {
		return fmt.Errorf("want 4 numbers (start count ignored sequence), got %q", clip(line))
	}
	start, count := numbers[0], numbers[1]
	if count > maxRun || start > math.MaxUint64-count {
		return fmt.Errorf("a run of %d keys from %d: want at most %d and no key above 64 bits", count, start, maxRun)
	}
	d.start, d.left = start, count
	return nil
}

// spacedDecoder reads "time key size", the size optional.
type spacedDecoder struct{ lines }

func (d *spacedDecoder) decode(dst []Access) (n int, err error) {
	for n < len(dst) {
		line, err := d.next()
		if err != nil {
			return n, err
		}
		if len(line) == 0 {
			continue
		}
		if dst[n], err = timed(bytes.Fields(line), line); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// timed makes an access of the fields time, key and size; an empty time or a
// missing size was not recorded, and what follows them is ignored.
func timed(fields [][]byte, line []byte) (a Access, err error) {
	if len(fields) < 2 || len(fields[1]) == 0 {
		return a, fmt.Errorf("want time, key and size, got %q", clip(line))
	}
	if len(fields[0]) > 0 {
		if a.Time, a.HasTime = parseSeconds(fields[0]); !a.HasTime {
			return a, fmt.Errorf("time %q: want seconds, up to 9223372035", clip(fields[0]))
		}
	}
	a.Key = textKey(fields[1])
	if len(fields) > 2 && len(fields[2]) > 0 {
		size, ok := parseUint(fields[2])
		if !ok {
			return a, fmt.Errorf("size %q: want bytes as a decimal number", clip(fields[2]))
		}
		a.Size, a.HasSize = uint32(min(size, math.MaxUint32)), true
	}
	return a, nil
}

// textKey returns a decimal number as it is and the hash of anything else.
// "007" is not the number 7: it would be another key to whoever recorded it.
func textKey(field []byte) uint64 {
	if len(field) == 1 || field[0] != '0' {
		if v, ok := parseUint(field); ok {
			return v
		}
	}
	return xxhash.Sum64(field)
}

// parseUint reads an unsigned decimal number that fits 64 bits.
func parseUint(b []byte) (v uint64, ok bool) {
	if len(b) == 0 || len(b) > 20 {
		return 0, false
	}
	for _, c := range b {
		d := uint64(c - '0')
		if d > 9 || v > (math.MaxUint64-d)/10 {
			return 0, false
		}
		v = v*10 + d
	}
	return v, true
}

// parseSeconds reads seconds with an optional fraction; digits below a
// nanosecond are dropped.
func parseSeconds(b []byte) (time.Duration, bool) {
	whole, fraction, dotted := bytes.Cut(b, []byte("."))
	s, ok := parseUint(whole)
	if !ok || s > math.MaxInt64/uint64(time.Second)-1 {
		return 0, false
	}
	t := time.Duration(s) * time.Second
	if !dotted {
		return t, true
	}
	if len(fraction) == 0 {
		return 0, false
	}
	unit := time.Second / 10
	for _, c := range fraction {
		if c < '0' || c > '9' {
			return 0, false
		}
		t += time.Duration(c-'0') * unit
		unit /= 10
	}
	return t, true
}

// clip shortens what is quoted in an error.
func clip(b []byte) string {
	const most = 60
	if len(b) > most {
		return string(b[:most]) + "..."
	}
	return string(b)
}
