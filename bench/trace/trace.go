// Package trace reads recorded cache accesses, and writes them.
//
// A trace is a sequence of [Access] values. [Open] returns a [Reader] over a
// file in any of the known formats ([Formats] lists them), plain or compressed
// with gzip, xz or zstd; the compression is told from the first bytes, the
// format from the suffixes of the name or, where it can be, from the content.
// [SampleName] names a small trace that is built in. [Writer] records accesses
// as oracleGeneral.
//
// Formats (one access a line or record unless said otherwise):
//   - oracle: libCacheSim's oracleGeneral, 24-byte little-endian records: u32
//     time in seconds, u64 key, u32 size, i64 position of the next access or -1.
//   - arc: "start count ignored sequence"; a line stands for count accesses.
//   - lirs: one decimal key; lines "*" and empty lines are not accesses.
//   - csv: time,key,size and spaced: the same with spaces; time in seconds.
//   - mooncake: JSON lines of LLM requests; every element of hash_ids is an access.
//   - be32, be64: big-endian keys and nothing else.
//
// This package must not know what a trace is used for: no cache, no policy, no
// statistics. It decodes a bounded piece at a time and never holds a trace.
//
// Caveats. A key is a 64-bit number; a key that is not a decimal number (CSV,
// spaced) is hashed with xxhash64, so two keys of one trace could in principle
// meet. Sizes saturate at 4 GiB - 1. Times are as recorded: they may start
// anywhere, stand still or go backwards.
package trace

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"time"
)

// Access is one request for a key.
type Access struct {
	// Time is the moment of the access since the trace's epoch, 0 where the
	// format has no times.
	Time time.Duration
	// Key identifies the object.
	Key uint64
	// Size is the size of the object in bytes, 0 where the format has no sizes.
	Size uint32
	// HasTime and HasSize say that Time and Size were recorded.
	HasTime, HasSize bool
}

// SampleName is the path under which [Open] finds the built-in sample. A file
// of that name is reached as "./sample".
const SampleName = "sample"

// batch is how many accesses are decoded at a time: enough that the cost of a
// call through an interface vanishes, little enough to stay in a core's cache.
const batch = 1024

// decoder reads accesses of one format.
type decoder interface {
	// decode fills dst from its start and returns how many it wrote; at the
	// end of the trace it returns io.EOF. Accesses before an error count.
	decode(dst []Access) (int, error)
	// position says where the decoder stands: "line 12" or "record 7".
	position() string
}

// Reader reads the accesses of one trace. Not safe for concurrent use.
type Reader struct {
	name   string
	format Format
	dec    decoder
	close  []io.Closer // in the order of opening
	done   error       // sticky: io.EOF or what went wrong

	buf  []Access // decoded and not yet read
	full [batch]Access
}

// Open opens the trace at path, or the built-in sample where path is
// [SampleName]. Format "" or "auto" means: tell it from the name or the
// content. Where that fails the error is an [*UnknownFormatError].
func Open(path, format string) (*Reader, error) {
	if path == SampleName {
		return openSample(format)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening a trace: %w", err)
	}
	r, err := New(f, path, format)
	if err != nil {
		f.Close()
		return nil, err
	}
	r.close = append([]io.Closer{f}, r.close...)
	return r, nil
}

// New reads the trace in src; name stands in errors and tells the format as
// the path does in [Open]. Closing the reader does not close src.
func New(src io.Reader, name, format string) (*Reader, error) {
	want, err := formatOf(name, format)
	if err != nil {
		return nil, err
	}
	plain, closer, err := decompress(src)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if want == "" {
		if want, err = sniff(plain, name); err != nil {
			closer.Close()
			return nil, err
		}
	}
	return &Reader{name: name, format: want, dec: newDecoder(want, plain), close: []io.Closer{closer}}, nil
}

// Name returns the name without folders and without the suffixes that tell
// format and compression: "oltp" for "traces/oltp.arc.gz".
func (r *Reader) Name() string { return shortName(r.name) }

// Format returns the format that is being read.
func (r *Reader) Format() Format { return r.format }

// Read returns the next access, or io.EOF at the end. An error names the file
// and the line or record, and stays: every further call returns it.
func (r *Reader) Read() (Access, error) {
	if len(r.buf) == 0 {
		if err := r.fill(); err != nil {
			return Access{}, err
		}
	}
	a := r.buf[0]
	r.buf = r.buf[1:]
	return a, nil
}

// ReadBatch fills dst as far as it can and returns how many accesses it wrote,
// at least one where err is nil; at the end it returns 0 and io.EOF.
func (r *Reader) ReadBatch(dst []Access) (n int, err error) {
	for n < len(dst) {
		if len(r.buf) == 0 {
			if err := r.fill(); err != nil {
				if n > 0 {
					return n, nil
				}
				return 0, err
			}
		}
		k := copy(dst[n:], r.buf)
		r.buf = r.buf[k:]
		n += k
	}
	return n, nil
}

// All returns the remaining accesses; the last pair carries the error that
// ended the trace early, if any.
func (r *Reader) All() iter.Seq2[Access, error] {
	return func(yield func(Access, error) bool) {
		for {
			a, err := r.Read()
			if errors.Is(err, io.EOF) || !yield(a, err) || err != nil {
				return
			}
		}
	}
}

// Close releases the file. Safe to call twice.
func (r *Reader) Close() error {
	var errs []error
	for i := len(r.close) - 1; i >= 0; i-- {
		errs = append(errs, r.close[i].Close())
	}
	r.close, r.buf = nil, nil
	if r.done == nil {
		r.done = fmt.Errorf("%s: %w", r.name, os.ErrClosed)
	}
	return errors.Join(errs...)
}

// fill decodes the next accesses into the buffer.
func (r *Reader) fill() error {
	for r.done == nil {
		n, err := r.dec.decode(r.full[:])
		switch {
		case err == io.EOF: // exactly: a wrapped one is a truncated record
			r.done = io.EOF
		case err != nil:
			r.done = &SyntaxError{Trace: r.name, Position: r.dec.position(), Err: err}
		}
		if n > 0 {
			r.buf = r.full[:n]
			return nil
		}
	}
	return r.done
}

// SyntaxError says where a trace cannot be read and why.
type SyntaxError struct {
	Trace    string // the path as given
	Position string // "line 12" or "record 7", counted from 1 after decompression
	Err      error
}

// Error returns the error as one line.
func (e *SyntaxError) Error() string { return e.Trace + ": " + e.Position + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *SyntaxError) Unwrap() error { return e.Err }

func newDecoder(f Format, src io.Reader) decoder {
	switch f {
	case Oracle:
		return &oracleDecoder{records: newRecords(src, oracleBytes)}
	case BE32:
		return &be32Decoder{records: newRecords(src, 4)}
	case BE64:
		return &be64Decoder{records: newRecords(src, 8)}
	case ARC:
		return &arcDecoder{lines: newLines(src, maxLineBytes)}
	case LIRS:
		return &lirsDecoder{lines: newLines(src, maxLineBytes)}
	case CSV:
		return &csvDecoder{lines: newLines(src, maxLineBytes)}
	case Spaced:
		return &spacedDecoder{lines: newLines(src, maxLineBytes)}
	case Mooncake:
		return &mooncakeDecoder{lines: newLines(src, maxJSONLineBytes)}
	}
	panic("trace: format without decoder: " + string(f))
}

// shortName drops the folders and everything from the first suffix that tells
// format or compression.
func shortName(path string) string {
	base := filepath.Base(path)
	for i := range base {
		if base[i] != '.' || i == 0 {
			continue
		}
		suffix, _, _ := cutSuffix(base[i+1:])
		if _, ok := formatSuffixes[suffix]; ok || compressionSuffix(suffix) {
			return base[:i]
		}
	}
	return base
}
