package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a time.Duration written as "30s" or "1h30m" in TOML.
type Duration time.Duration

// Std returns the duration as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String formats the duration as it is written.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText formats the duration as it is written.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads a duration with unit; negative ones are errors.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a duration: write it with a unit, such as \"30s\", \"5m\" or \"200ms\"", text)
	}
	if v < 0 {
		return fmt.Errorf("duration %q is negative", text)
	}
	*d = Duration(v)
	return nil
}

// Size is a number of bytes written as "64MiB" or "1GB" in TOML.
type Size int64

var sizeUnits = []struct {
	suffix string
	bytes  float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

// Bytes returns the size as a number.
func (s Size) Bytes() int64 { return int64(s) }

// String formats the size with the largest binary unit that divides it.
func (s Size) String() string {
	for i := 3; i >= 0; i-- {
		if u := int64(sizeUnits[i].bytes); int64(s) >= u && int64(s)%u == 0 {
			return strconv.FormatInt(int64(s)/u, 10) + sizeUnits[i].suffix
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// MarshalText formats the size as it is written.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a size with unit.
func (s *Size) UnmarshalText(text []byte) error {
	in := strings.TrimSpace(string(text))
	for _, u := range sizeUnits {
		number, ok := strings.CutSuffix(in, u.suffix)
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || v < 0 || math.IsNaN(v) || v*u.bytes > 1<<50 {
			break
		}
		*s = Size(v * u.bytes)
		return nil
	}
	return fmt.Errorf("%q is not a size: write it with a unit, such as \"64MiB\" or \"1GB\"", text)
}

// Ratio is a share between 0 and 1 written as "5%" or "0.05" in TOML.
type Ratio float64

// String formats the ratio as percentage.
func (r Ratio) String() string { return strconv.FormatFloat(float64(r)*100, 'g', 6, 64) + "%" }

// MarshalText formats the ratio as percentage.
func (r Ratio) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads a percentage or a number between 0 and 1.
func (r *Ratio) UnmarshalText(text []byte) error {
	in := strings.TrimSpace(string(text))
	number, percent := strings.CutSuffix(in, "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if percent {
		v /= 100
	}
	if err != nil || math.IsNaN(v) || v < 0 || v > 1 {
		return fmt.Errorf("%q is not a share: write \"5%%\", or a number from 0 to 1", text)
	}
	*r = Ratio(v)
	return nil
}

// Target is a latency to aim at; 0 means "auto": derived from what the origin
// can do.
type Target time.Duration

// Std returns the target; 0 means automatic.
func (t Target) Std() time.Duration { return time.Duration(t) }

// String formats the target as it is written.
func (t Target) String() string {
	if t == 0 {
		return "auto"
	}
	return time.Duration(t).String()
}

// MarshalText formats the target as it is written.
func (t Target) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads "auto" or a duration greater than 0.
func (t *Target) UnmarshalText(text []byte) error {
	if string(text) == "auto" {
		*t = 0
		return nil
	}
	v, err := time.ParseDuration(string(text))
	if err != nil || v <= 0 {
		return fmt.Errorf("%q is not a target latency: write \"auto\" or a duration such as \"200ms\"", text)
	}
	*t = Target(v)
	return nil
}
