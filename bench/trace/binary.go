package trace

import (
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

// oracleBytes is the length of an oracleGeneral record.
const oracleBytes = 24

// records cuts a stream into records of a fixed length.
type records struct {
	src   io.Reader
	size  int   // of a record, in bytes
	count int64 // records read

	buf []byte // batch records
	err error  // what comes after the records in buf
}

func newRecords(src io.Reader, size int) records {
	return records{src: src, size: size, buf: make([]byte, batch*size)}
}

// next returns the bytes of 1 to n records, valid until the next call.
func (r *records) next(n int) ([]byte, error) {
	if r.err != nil {
		return nil, r.err
	}
	n = min(n*r.size, len(r.buf))
	got, err := io.ReadFull(r.src, r.buf[:n])
	whole := got / r.size * r.size
	r.count += int64(whole / r.size)
	switch {
	case err == nil:
		return r.buf[:n], nil
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		r.err = io.EOF
		if rest := got - whole; rest > 0 {
			r.err = fmt.Errorf("truncated: %d of %d bytes", rest, r.size)
		}
	default:
		r.err = err
	}
	if whole == 0 {
		return nil, r.err
	}
	return r.buf[:whole], nil
}

func (r *records) position() string { return fmt.Sprintf("record %d", r.count+1) }

type oracleDecoder struct{ records }

func (d *oracleDecoder) decode(dst []Access) (int, error) {
	b, err := d.next(len(dst))
	if err != nil {
		return 0, err
	}
	n := len(b) / oracleBytes
	for i := range n {
		r := b[i*oracleBytes:][:oracleBytes]
		dst[i] = Access{
			Time:    time.Duration(binary.LittleEndian.Uint32(r)) * time.Second,
			Key:     binary.LittleEndian.Uint64(r[4:]),
			Size:    binary.LittleEndian.Uint32(r[12:]),
			HasTime: true,
			HasSize: true,
		}
	}
	return n, nil
}

type be32Decoder struct{ records }

func (d *be32Decoder) decode(dst []Access) (int, error) {
	b, err := d.next(len(dst))
	if err != nil {
		return 0, err
	}
	n := len(b) / 4
	for i := range n {
		dst[i] = Access{Key: uint64(binary.BigEndian.Uint32(b[i*4:]))}
	}
	return n, nil
}

type be64Decoder struct{ records }

func (d *be64Decoder) decode(dst []Access) (int, error) {
	b, err := d.next(len(dst))
	if err != nil {
		return 0, err
	}
	n := len(b) / 8
	for i := range n {
		dst[i] = Access{Key: binary.BigEndian.Uint64(b[i*8:])}
	}
	return n, nil
}
