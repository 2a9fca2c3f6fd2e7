package trace

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Writer records accesses as oracleGeneral. The position of the next access to
// a key is not known while recording and is written as -1 (none), so a reader
// that looks into the future by this field (Belady) must compute it first. Not
// safe for concurrent use.
type Writer struct {
	buf   *bufio.Writer
	close []io.Closer // in the order of closing
	err   error       // sticky
}

// NewWriter writes uncompressed records to dst. Closing the writer does not
// close dst.
func NewWriter(dst io.Writer) *Writer { return &Writer{buf: bufio.NewWriterSize(dst, 64<<10)} }

// Create makes a new file for records. The name must tell the format so that
// [Open] finds it: its first suffix is "oracleGeneral" or "oracle"; a last
// suffix ".gz" or ".zst" compresses. An existing file is not overwritten: the
// error is then [os.ErrExist].
func Create(path string) (*Writer, error) {
	if f, _ := formatOf(path, ""); f != Oracle {
		return nil, fmt.Errorf("%s: a recording is written as oracleGeneral: want a name like accesses.oracleGeneral.zst", path)
	}
	last := strings.ToLower(filepath.Ext(path))
	if last == ".xz" {
		return nil, fmt.Errorf("%s: recordings are compressed as .zst or .gz", path)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("creating a recording: %w", err)
	}
	switch last {
	case ".zst", ".zstd":
		z, err := zstd.NewWriter(f, zstd.WithEncoderConcurrency(1))
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		w := NewWriter(z)
		w.close = []io.Closer{z, f}
		return w, nil
	case ".gz":
		z := gzip.NewWriter(f)
		w := NewWriter(z)
		w.close = []io.Closer{z, f}
		return w, nil
	}
	w := NewWriter(f)
	w.close = []io.Closer{f}
	return w, nil
}

// Write records one access. Times are cut to whole seconds and saturate at
// both ends of what 32 bits hold, 0 and 2^32 - 1.
func (w *Writer) Write(a Access) error {
	if w.err != nil {
		return w.err
	}
	seconds := min(max(a.Time/time.Second, 0), math.MaxUint32)
	var r [oracleBytes]byte
	binary.LittleEndian.PutUint32(r[:], uint32(seconds))
	binary.LittleEndian.PutUint64(r[4:], a.Key)
	binary.LittleEndian.PutUint32(r[12:], a.Size)
	binary.LittleEndian.PutUint64(r[16:], math.MaxUint64) // -1
	_, w.err = w.buf.Write(r[:])
	return w.err
}

// Close writes what is buffered and closes the file. Safe to call twice.
func (w *Writer) Close() error {
	if errors.Is(w.err, os.ErrClosed) {
		return nil
	}
	errs := []error{w.err}
	if w.err == nil {
		errs = append(errs, w.buf.Flush())
	}
	for _, c := range w.close {
		errs = append(errs, c.Close())
	}
	w.err = fmt.Errorf("recording: %w", os.ErrClosed)
	return errors.Join(errs...)
}
