package replay

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Capacity is the room that a replayed cache has.
type Capacity struct {
	Amount int64 // objects or bytes; at least 1
	Bytes  bool  // Amount counts bytes
}

// units are the suffixes of a capacity in bytes.
var units = []struct {
	suffix string
	bytes  float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

// ParseCapacity reads "1000" (objects) or a number with a unit of bytes:
// "64MiB", "1.5 GB", "500B".
func ParseCapacity(s string) (Capacity, error) {
	text := strings.TrimSpace(s)
	for _, u := range units {
		if len(text) < len(u.suffix) || !strings.EqualFold(text[len(text)-len(u.suffix):], u.suffix) {
			continue
		}
		number := strings.TrimSpace(text[:len(text)-len(u.suffix)])
		v, err := strconv.ParseFloat(number, 64)
		if amount := v * u.bytes; err == nil && amount >= 1 && amount < math.MaxInt64 {
			return Capacity{Amount: int64(amount), Bytes: true}, nil
		}
		return Capacity{}, capacityError(s)
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil || v < 1 {
		return Capacity{}, capacityError(s)
	}
	return Capacity{Amount: v}, nil
}

func capacityError(s string) error {
	return fmt.Errorf("capacity %q: want a number of objects (1000) or bytes with a unit (64MiB, 1GB)", s)
}

// String returns the capacity as ParseCapacity reads it.
func (c Capacity) String() string {
	if !c.Bytes {
		return strconv.FormatInt(c.Amount, 10)
	}
	for _, u := range units[:4] {
		if n := float64(c.Amount) / u.bytes; n >= 1 && n < 1024 && n == math.Trunc(n) {
			return strconv.FormatInt(int64(n), 10) + u.suffix
		}
	}
	return strconv.FormatInt(c.Amount, 10) + "B"
}

func (c Capacity) unit() string {
	if c.Bytes {
		return "bytes"
	}
	return "objects"
}
