package tiered

import (
	"encoding/json"
	"fmt"
)

// Codec turns values into bytes for the second tier and back. Safe for
// concurrent use. Decode is given bytes that some process wrote that could
// write there: whatever they are, it must return a value or an error.
type Codec[V any] interface {
	// Encode appends the encoding of v to dst.
	Encode(dst []byte, v V) ([]byte, error)
	// Decode may keep b.
	Decode(b []byte) (V, error)
}

// The numbers by which an envelope says how its value is encoded. A codec of
// one's own that changes its format takes another Options.CodecID.
const (
	codecCustom uint8 = 1
	codecJSON   uint8 = 2
	codecBytes  uint8 = 3
	codecString uint8 = 4
)

type jsonCodec[V any] struct{}

// JSON is the codec of encoding/json.
func JSON[V any]() Codec[V] { return jsonCodec[V]{} }

func (jsonCodec[V]) Encode(dst []byte, v V) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return append(dst, b...), nil
}

func (jsonCodec[V]) Decode(b []byte) (V, error) {
	var v V
	err := json.Unmarshal(b, &v)
	return v, err
}

type bytesCodec struct{}

// Bytes is the codec that stores bytes as they are.
func Bytes() Codec[[]byte] { return bytesCodec{} }

func (bytesCodec) Encode(dst []byte, v []byte) ([]byte, error) { return append(dst, v...), nil }
func (bytesCodec) Decode(b []byte) ([]byte, error)             { return b, nil }

type stringCodec struct{}

// String is the codec that stores strings as they are.
func String() Codec[string] { return stringCodec{} }

func (stringCodec) Encode(dst []byte, v string) ([]byte, error) { return append(dst, v...), nil }
func (stringCodec) Decode(b []byte) (string, error)             { return string(b), nil }

// codecID returns the number of a codec that was not given one.
func codecID[V any](c Codec[V]) uint8 {
	switch any(c).(type) {
	case jsonCodec[V]:
		return codecJSON
	case bytesCodec:
		return codecBytes
	case stringCodec:
		return codecString
	default:
		return codecCustom
	}
}

// encode is Encode with a panic turned into an error.
func encode[V any](c Codec[V], v V) (b []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("codec panicked: %v", p)
		}
	}()
	return c.Encode(nil, v)
}

// decode is Decode with a panic turned into an error.
func decode[V any](c Codec[V], b []byte) (v V, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("codec panicked: %v", p)
		}
	}()
	return c.Decode(b)
}
