package trace

import (
	"bytes"
	"fmt"
)

// csvDecoder reads "time,key,size", the size optional and further fields
// ignored. A first line whose time is not a number is the header. A field may
// be quoted (RFC 4180) but not span lines.
type csvDecoder struct {
	lines
	fields [3][]byte
}

func (d *csvDecoder) decode(dst []Access) (n int, err error) {
	for n < len(dst) {
		line, err := d.next()
		if err != nil {
			return n, err
		}
		if len(line) == 0 {
			continue
		}
		fields, err := d.split(line)
		if err != nil {
			return n, err
		}
		if d.count == 1 && len(fields) > 1 && len(fields[0]) > 0 {
			if _, ok := parseSeconds(fields[0]); !ok {
				continue
			}
		}
		if dst[n], err = timed(fields, line); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// split returns the first fields of a line.
func (d *csvDecoder) split(line []byte) ([][]byte, error) {
	whole := line
	for i := range d.fields {
		var field []byte
		if len(line) > 0 && line[0] == '"' {
			var ok bool
			if field, line, ok = unquote(line[1:]); !ok {
				return nil, fmt.Errorf("a quoted field does not end as it should: %q", clip(whole))
			}
		} else {
			end := bytes.IndexByte(line, ',')
			if end < 0 {
				end = len(line)
			}
			field, line = bytes.TrimSpace(line[:end]), line[end:]
		}
		d.fields[i] = field
		if len(line) == 0 {
			return d.fields[:i+1], nil
		}
		line = line[1:] // the comma
	}
	return d.fields[:], nil
}

// unquote returns the field that starts behind an opening quote and the rest
// of the line from the comma on.
func unquote(b []byte) (field, rest []byte, ok bool) {
	for i := 0; i < len(b); i++ {
		if b[i] != '"' {
			continue
		}
		if i+1 < len(b) && b[i+1] == '"' {
			i++
			continue
		}
		rest = b[i+1:]
		return bytes.ReplaceAll(b[:i], []byte(`""`), []byte(`"`)), rest, len(rest) == 0 || rest[0] == ','
	}
	return nil, b, false
}
