package l2

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/cespare/xxhash/v2"
)

// Entry is a value and what must be known to serve it again.
type Entry struct {
	// Value is the encoded value. Entries returned by [Open] and [Tier.Get]
	// alias the bytes that were read; the caller owns them.
	Value []byte
	// Codec says how Value is encoded: 1..255, given by the layer above.
	Codec uint8
	// Created is the moment whose state of the world the value shows: when its
	// load began, not when it ended.
	Created time.Time
	// FreshUntil is the end of freshness; not after Expires.
	FreshUntil time.Time
	// Expires is when the entry must be gone.
	Expires time.Time
	// LoadCost is how long loading took; stored in microseconds, saturating.
	LoadCost time.Duration
	// Changed and Unchanged count reloads that found the value changed and not.
	Changed, Unchanged uint16
}

// The envelope, little-endian: magic, version, codec, flags (0), key hash,
// created, fresh until, expires (Unix nanoseconds), load cost, changed,
// unchanged, length of the value, 0, checksum of all before it and the value.
const (
	magic           = "PFL2"
	envelopeVersion = 1
	// EnvelopeBytes is what the envelope adds to a value.
	EnvelopeBytes = 64
	checksumAt    = 56
)

// ErrCorrupt is wrapped by every error of [Open] but [ErrExpired].
var ErrCorrupt = errors.New("not a valid entry")

// ErrExpired says that an entry is whole and its time is over.
var ErrExpired = errors.New("the entry has expired")

// Seal appends e under the key to dst. The caller keeps Value.
func Seal(dst []byte, key string, e Entry) []byte {
	start := len(dst)
	dst = append(dst, magic...)
	dst = append(dst, envelopeVersion, e.Codec, 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, xxhash.Sum64String(key))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(e.Created.UnixNano()))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(e.FreshUntil.UnixNano()))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(e.Expires.UnixNano()))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(min(max(e.LoadCost.Microseconds(), 0), math.MaxUint32)))
	dst = binary.LittleEndian.AppendUint16(dst, e.Changed)
	dst = binary.LittleEndian.AppendUint16(dst, e.Unchanged)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(e.Value)))
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, checksum(dst[start:start+checksumAt], e.Value))
	return append(dst, e.Value...)
}

// Opening is what [Open] checks an envelope against.
type Opening struct {
	Key string    // the key that was asked for
	Now time.Time // the reader's clock
	// MaxTTL bounds the life of an entry from now on; a later expiry is
	// brought forward to it. 0: not bounded.
	MaxTTL time.Duration
}

// Open verifies an envelope and returns its entry. It allocates nothing but
// errors: lengths inside of b are compared with len(b), never believed.
func Open(b []byte, o Opening) (Entry, error) {
	if len(b) < EnvelopeBytes {
		return Entry{}, fmt.Errorf("%w: %d bytes, want at least %d", ErrCorrupt, len(b), EnvelopeBytes)
	}
	head, value := b[:checksumAt], b[EnvelopeBytes:]
	if string(head[:4]) != magic {
		return Entry{}, fmt.Errorf("%w: magic %q, want %q", ErrCorrupt, head[:4], magic)
	}
	if head[4] != envelopeVersion {
		return Entry{}, fmt.Errorf("%w: version %d, want %d", ErrCorrupt, head[4], envelopeVersion)
	}
	if n := binary.LittleEndian.Uint32(head[48:]); uint64(n) != uint64(len(value)) {
		return Entry{}, fmt.Errorf("%w: announces %d bytes of value, has %d", ErrCorrupt, n, len(value))
	}
	if sum := binary.LittleEndian.Uint64(b[checksumAt:]); sum != checksum(head, value) {
		return Entry{}, fmt.Errorf("%w: checksum differs", ErrCorrupt)
	}
	if binary.LittleEndian.Uint64(head[8:]) != xxhash.Sum64String(o.Key) {
		return Entry{}, fmt.Errorf("%w: belongs to another key", ErrCorrupt)
	}
	e := Entry{
		Value:      value,
		Codec:      head[5],
		Created:    moment(head[16:]),
		FreshUntil: moment(head[24:]),
		Expires:    moment(head[32:]),
		LoadCost:   time.Duration(binary.LittleEndian.Uint32(head[40:])) * time.Microsecond,
		Changed:    binary.LittleEndian.Uint16(head[44:]),
		Unchanged:  binary.LittleEndian.Uint16(head[46:]),
	}
	switch {
	case head[6] != 0 || head[7] != 0 || binary.LittleEndian.Uint32(head[52:]) != 0:
		return Entry{}, fmt.Errorf("%w: reserved bits are set", ErrCorrupt)
	case e.Codec == 0:
		return Entry{}, fmt.Errorf("%w: no codec", ErrCorrupt)
	case e.Created.After(o.Now.Add(MaxSkew)):
		return Entry{}, fmt.Errorf("%w: created in the future", ErrCorrupt)
	case e.Expires.Before(e.Created):
		return Entry{}, fmt.Errorf("%w: expires before it was created", ErrCorrupt)
	}
	if o.MaxTTL > 0 {
		e.Expires = earlier(e.Expires, o.Now.Add(o.MaxTTL))
	}
	e.FreshUntil = earlier(e.FreshUntil, e.Expires)
	if !e.Expires.After(o.Now) {
		return Entry{}, ErrExpired
	}
	return e, nil
}

func checksum(head, value []byte) uint64 {
	var d xxhash.Digest
	d.Reset()
	d.Write(head)
	d.Write(value)
	return d.Sum64()
}

func moment(b []byte) time.Time {
	return time.Unix(0, int64(binary.LittleEndian.Uint64(b)))
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
