package trace

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// maxWindowBytes bounds the memory that a compressed trace may ask for: the
// largest window that the usual tools write (xz -9 64 MiB, zstd --long 128 MiB).
const maxWindowBytes = 128 << 20

var (
	gzipMagic = []byte{0x1f, 0x8b}
	xzMagic   = []byte{0xfd, '7', 'z', 'X', 'Z', 0}
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}
)

func compressionSuffix(suffix string) bool {
	return suffix == "gz" || suffix == "xz" || suffix == "zst" || suffix == "zstd"
}

// decompress returns a reader of the plain bytes of src, large enough to peek
// sniffBytes, and what must be closed after reading.
func decompress(src io.Reader) (*bufio.Reader, io.Closer, error) {
	raw := bufio.NewReaderSize(src, sniffBytes)
	magic, _ := raw.Peek(len(xzMagic)) // shorter ones match nothing; a read error comes back on the first read
	switch {
	case bytes.HasPrefix(magic, gzipMagic):
		z, err := gzip.NewReader(raw)
		if err != nil {
			return nil, nil, err
		}
		return bufio.NewReaderSize(z, sniffBytes), z, nil
	case bytes.HasPrefix(magic, zstdMagic):
		z, err := zstd.NewReader(raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindowBytes))
		if err != nil {
			return nil, nil, err
		}
		return bufio.NewReaderSize(z, sniffBytes), z.IOReadCloser(), nil
	case bytes.HasPrefix(magic, xzMagic):
		if err := checkXZ(raw); err != nil {
			return nil, nil, err
		}
		z, err := xz.NewReader(raw)
		if err != nil {
			return nil, nil, err
		}
		return bufio.NewReaderSize(z, sniffBytes), io.NopCloser(nil), nil
	}
	return raw, io.NopCloser(nil), nil
}

// checkXZ looks at the dictionary size in the first block header, because the
// decoder allocates what the file asks for. Later blocks of one file have the
// same size in everything that the usual tools write.
func checkXZ(raw *bufio.Reader) error {
	const streamHeader, maxBlockHeader = 12, 1024
	head, _ := raw.Peek(streamHeader + maxBlockHeader)
	if len(head) < streamHeader+2 {
		return errors.New("xz: truncated header")
	}
	block := head[streamHeader:]
	if block[0] == 0 {
		return nil // an index: the stream is empty
	}
	flags, p := block[1], 2
	skip := func() { // a number of variable length
		for p < len(block) && block[p]&0x80 != 0 {
			p++
		}
		p++
	}
	if flags&0x40 != 0 {
		skip()
	}
	if flags&0x80 != 0 {
		skip()
	}
	const lzma2 = 0x21
	if flags&3 != 0 || p+2 >= len(block) || block[p] != lzma2 || block[p+1] != 1 {
		return errors.New("xz: only blocks with the one filter LZMA2 are read; recompress with: xz -9")
	}
	bits := block[p+2] & 0x3f
	if size := uint64(2|bits&1) << (bits/2 + 11); bits > 40 || size > maxWindowBytes {
		return fmt.Errorf("xz: the dictionary of %d MiB is larger than %d MiB; recompress with: xz -9", size>>20, maxWindowBytes>>20)
	}
	return nil
}
