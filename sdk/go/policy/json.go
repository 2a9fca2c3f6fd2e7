package policy

import (
	"errors"
	"strconv"
	"unicode/utf8"
)

// The manifest and the config are the only JSON there is, both flat. Package
// encoding/json would make every module half again as large.

// scalar is a JSON value that is neither an object nor an array.
type scalar struct {
	kind    paramKind // number, boolean or string
	number  float64
	boolean bool
	text    string
}

var errJSON = errors.New("config: want one JSON object of numbers, strings and booleans")

// scanObject calls each for every member of a JSON object of scalars.
func scanObject(s string, each func(key string, v scalar) error) error {
	p := scanner{s: s}
	if !p.eat('{') {
		return errJSON
	}
	if p.eat('}') {
		return p.end()
	}
	for {
		key, ok := p.str()
		if !ok || !p.eat(':') {
			return errJSON
		}
		v, ok := p.scalar()
		if !ok {
			return errJSON
		}
		if err := each(key, v); err != nil {
			return err
		}
		if p.eat('}') {
			return p.end()
		}
		if !p.eat(',') {
			return errJSON
		}
	}
}

type scanner struct {
	s string
	i int
}

func (p *scanner) space() {
	for p.i < len(p.s) && (p.s[p.i] == ' ' || p.s[p.i] == '\t' || p.s[p.i] == '\n' || p.s[p.i] == '\r') {
		p.i++
	}
}

// eat skips space and takes c.
func (p *scanner) eat(c byte) bool {
	p.space()
	if p.i < len(p.s) && p.s[p.i] == c {
		p.i++
		return true
	}
	return false
}

func (p *scanner) end() error {
	if p.space(); p.i != len(p.s) {
		return errJSON
	}
	return nil
}

func (p *scanner) scalar() (scalar, bool) {
	p.space()
	if p.i == len(p.s) {
		return scalar{}, false
	}
	if p.s[p.i] == '"' {
		text, ok := p.str()
		return scalar{kind: kindString, text: text}, ok
	}
	start := p.i
	for p.i < len(p.s) && p.s[p.i] > ' ' && p.s[p.i] != ',' && p.s[p.i] != '}' {
		p.i++
	}
	switch word := p.s[start:p.i]; word {
	case "true", "false":
		return scalar{kind: kindBoolean, boolean: word == "true"}, true
	default:
		if word == "" || word[0] != '-' && (word[0] < '0' || word[0] > '9') {
			return scalar{}, false
		}
		n, err := strconv.ParseFloat(word, 64)
		return scalar{kind: kindNumber, number: n}, err == nil
	}
}

// str takes a JSON string.
func (p *scanner) str() (string, bool) {
	if !p.eat('"') {
		return "", false
	}
	var b []byte
	for p.i < len(p.s) {
		c := p.s[p.i]
		p.i++
		switch {
		case c == '"':
			return string(b), true
		case c < ' ':
			return "", false
		case c != '\\':
			b = append(b, c)
		default:
			if b = p.escape(b); b == nil {
				return "", false
			}
		}
	}
	return "", false
}

// escape appends what stands after a backslash; nil where that is nothing.
func (p *scanner) escape(b []byte) []byte {
	if p.i == len(p.s) {
		return nil
	}
	c := p.s[p.i]
	p.i++
	switch c {
	case '"', '\\', '/':
		return append(b, c)
	case 'b':
		return append(b, '\b')
	case 'f':
		return append(b, '\f')
	case 'n':
		return append(b, '\n')
	case 'r':
		return append(b, '\r')
	case 't':
		return append(b, '\t')
	case 'u':
		r, ok := p.hex4()
		if !ok {
			return nil
		}
		if r >= 0xD800 && r < 0xDC00 && p.i+1 < len(p.s) && p.s[p.i] == '\\' && p.s[p.i+1] == 'u' {
			p.i += 2
			low, ok := p.hex4()
			if !ok {
				return nil
			}
			r = (r-0xD800)<<10 + (low - 0xDC00) + 0x10000
		}
		return utf8.AppendRune(b, r)
	}
	return nil
}

func (p *scanner) hex4() (rune, bool) {
	if p.i+4 > len(p.s) {
		return 0, false
	}
	n, err := strconv.ParseUint(p.s[p.i:p.i+4], 16, 32)
	p.i += 4
	return rune(n), err == nil
}

// appendString appends a JSON string.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < ' ':
			const digits = "0123456789abcdef"
			b = append(b, '\\', 'u', '0', '0', digits[r>>4], digits[r&15])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}
