package policy

import (
	"errors"
	"math"
	"strconv"
)

// Schema names the settings of a policy. The host checks what a user writes
// against it and fills in the defaults, so that Init finds every setting, of
// its type and within its bounds.
type Schema map[string]Param

// Param is one setting: its type, default, bounds and meaning. Made by
// [Number], [Integer], [Boolean] and [String].
type Param struct {
	kind     paramKind
	doc      string
	number   float64 // default of a number or an integer
	boolean  bool    // default of a boolean
	text     string  // default of a string
	min, max float64 // NaN = no bound
	enum     []string
}

type paramKind string

const (
	kindNumber  paramKind = "number"
	kindInteger paramKind = "integer"
	kindBoolean paramKind = "boolean"
	kindString  paramKind = "string"
)

// Number is a setting that takes any finite number.
func Number(byDefault float64, doc string) Param {
	return Param{kind: kindNumber, number: byDefault, doc: doc, min: nan(), max: nan()}
}

// Integer is a setting that takes whole numbers up to 2^53.
func Integer(byDefault int64, doc string) Param {
	return Param{kind: kindInteger, number: float64(byDefault), doc: doc, min: nan(), max: nan()}
}

// Boolean is a setting that is true or false.
func Boolean(byDefault bool, doc string) Param {
	return Param{kind: kindBoolean, boolean: byDefault, doc: doc, min: nan(), max: nan()}
}

// String is a setting that takes text.
func String(byDefault, doc string) Param {
	return Param{kind: kindString, text: byDefault, doc: doc, min: nan(), max: nan()}
}

// Between returns the setting with bounds, both allowed values; for numbers
// and integers.
func (p Param) Between(least, most float64) Param {
	p.min, p.max = least, most
	return p
}

// OneOf returns the setting with the only values it may have; for strings.
func (p Param) OneOf(values ...string) Param {
	p.enum = values
	return p
}

// Config is what a user set, with defaults filled in. Asking for a setting that
// the manifest's schema does not have, or as another type, panics.
type Config struct {
	schema Schema
	values map[string]Param // the default of each is its value
	seed   uint64
}

// Seed returns a number to seed randomness with: the same for the same seat
// and the same replay.
func (c *Config) Seed() uint64 { return c.seed }

// Number returns a setting declared by [Number].
func (c *Config) Number(key string) float64 { return c.get(key, kindNumber).number }

// Integer returns a setting declared by [Integer].
func (c *Config) Integer(key string) int64 { return int64(c.get(key, kindInteger).number) }

// Boolean returns a setting declared by [Boolean].
func (c *Config) Boolean(key string) bool { return c.get(key, kindBoolean).boolean }

// String returns a setting declared by [String].
func (c *Config) String(key string) string { return c.get(key, kindString).text }

func (c *Config) get(key string, kind paramKind) Param {
	p, ok := c.values[key]
	if !ok {
		p, ok = c.schema[key]
	}
	if !ok {
		panic("policy: setting " + strconv.Quote(key) + " is not in Manifest.Config")
	}
	if p.kind != kind {
		panic("policy: setting " + strconv.Quote(key) + " is a " + string(p.kind) + ", not a " + string(kind))
	}
	return p
}

// NewConfig returns the defaults of a schema overlaid with a JSON object of
// settings; text "" is the defaults alone. The host's checks are made here too:
// an unknown key, another type and a value out of bounds are errors.
func NewConfig(s Schema, text string, seed uint64) (*Config, error) {
	c := &Config{schema: s, values: make(map[string]Param, len(s)), seed: seed}
	if text == "" {
		return c, nil
	}
	err := scanObject(text, func(key string, v scalar) error {
		p, ok := s[key]
		if !ok {
			return errors.New("setting " + strconv.Quote(key) + ": unknown")
		}
		if why := p.set(v); why != "" {
			return errors.New("setting " + strconv.Quote(key) + ": " + why)
		}
		c.values[key] = p
		return nil
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// set makes v the value of the setting, or says what is wrong with it.
func (p *Param) set(v scalar) (why string) {
	switch {
	case p.kind == kindBoolean && v.kind == kindBoolean:
		p.boolean = v.boolean
	case p.kind == kindString && v.kind == kindString:
		if len(p.enum) > 0 && !contains(p.enum, v.text) {
			return strconv.Quote(v.text) + " is not one of its values"
		}
		p.text = v.text
	case (p.kind == kindNumber || p.kind == kindInteger) && v.kind == kindNumber:
		if p.kind == kindInteger && v.number != math.Trunc(v.number) {
			return "want a whole number"
		}
		if v.number < p.min || v.number > p.max {
			return formatNumber(v.number) + " is not in " + formatNumber(p.min) + ".." + formatNumber(p.max)
		}
		p.number = v.number
	default:
		return "want a " + string(p.kind)
	}
	return ""
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func nan() float64 { return math.NaN() }

func formatNumber(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
