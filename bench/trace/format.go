package trace

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"strings"
)

// Format names how accesses are written down.
type Format string

// The formats; the package comment describes them.
const (
	Oracle   Format = "oracle"
	ARC      Format = "arc"
	LIRS     Format = "lirs"
	CSV      Format = "csv"
	Spaced   Format = "spaced"
	Mooncake Format = "mooncake"
	BE32     Format = "be32"
	BE64     Format = "be64"
)

// Formats returns all formats.
func Formats() []Format {
	return []Format{Oracle, ARC, LIRS, CSV, Spaced, Mooncake, BE32, BE64}
}

// formatSuffixes are the suffixes of a file's name, in lower case, that tell
// its format. They are accepted by ParseFormat too.
var formatSuffixes = map[string]Format{
	"oraclegeneral": Oracle, "oracle": Oracle,
	"arc": ARC, "lirs": LIRS, "csv": CSV, "txt": Spaced, "spaced": Spaced,
	"jsonl": Mooncake, "mooncake": Mooncake, "be32": BE32, "be64": BE64,
}

// ParseFormat returns the format of that name; "" and "auto" give "": to be
// told from the trace.
func ParseFormat(name string) (Format, error) {
	if name == "" || name == "auto" {
		return "", nil
	}
	if f, ok := formatSuffixes[strings.ToLower(name)]; ok {
		return f, nil
	}
	return "", &UnknownFormatError{Format: name}
}

// UnknownFormatError reports a format that does not exist, or a trace whose
// format could not be told.
type UnknownFormatError struct {
	Trace  string // the path; empty where a name was asked for
	Format string // the name asked for; empty where none was
}

// Error says what was looked at and lists the formats.
func (e *UnknownFormatError) Error() string {
	if e.Format != "" {
		return fmt.Sprintf("unknown trace format %q: want auto, %s", e.Format, formatList())
	}
	return fmt.Sprintf("%s: the format cannot be told from name or content; name it: %s", e.Trace, formatList())
}

func formatList() string {
	var names []string
	for _, f := range Formats() {
		names = append(names, string(f))
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// formatOf returns the format that was asked for, else what the name tells,
// else "".
func formatOf(path, asked string) (Format, error) {
	f, err := ParseFormat(asked)
	if f != "" || err != nil {
		return f, err
	}
	_, rest, _ := cutSuffix(filepath.Base(path))
	for rest != "" {
		var suffix string
		suffix, rest, _ = cutSuffix(rest)
		if f, ok := formatSuffixes[suffix]; ok {
			return f, nil
		}
	}
	return "", nil
}

// cutSuffix splits at the first dot and lowers what stands before it.
func cutSuffix(name string) (first, rest string, found bool) {
	first, rest, found = strings.Cut(name, ".")
	return strings.ToLower(first), rest, found
}

// sniffBytes is how much of the content is looked at to tell the format.
const sniffBytes = 32 << 10

// sniff tells the format from the first bytes. Keys alone in binary (be32,
// be64) look like nothing in particular and are never guessed.
func sniff(src *bufio.Reader, name string) (Format, error) {
	head, _ := src.Peek(sniffBytes) // a shorter head is the whole trace; a read error comes back on the first read
	if f, ok := sniffText(head, len(head) < sniffBytes); ok {
		return f, nil
	}
	if looksLikeOracle(head) {
		return Oracle, nil
	}
	return "", &UnknownFormatError{Trace: name}
}

// sniffText looks at the first complete lines: all must have the shape of one
// format. whole says that nothing follows head.
func sniffText(head []byte, whole bool) (Format, bool) {
	if bytes.IndexByte(head, 0) >= 0 {
		return "", false
	}
	if !whole {
		head = head[:bytes.LastIndexByte(head, '\n')+1]
	}
	var shape Format
	header := false
	for line := range bytes.Lines(head) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || (len(line) == 1 && line[0] == '*') {
			continue
		}
		f := lineShape(line)
		switch {
		case f == "" && shape == "" && !header && bytes.IndexByte(line, ',') >= 0:
			header = true
		case f == "", shape != "" && f != shape, header && f != CSV:
			return "", false
		default:
			shape = f
		}
	}
	return shape, shape != ""
}

func lineShape(line []byte) Format {
	if line[0] == '{' {
		if bytes.Contains(line, []byte(`"hash_ids"`)) {
			return Mooncake
		}
		return ""
	}
	if time, _, ok := bytes.Cut(line, []byte(",")); ok {
		if _, ok := parseSeconds(bytes.TrimSpace(time)); ok {
			return CSV
		}
		return ""
	}
	var numbers int
	fields := bytes.Fields(line)
	for _, f := range fields {
		if _, ok := parseUint(f); ok {
			numbers++
		}
	}
	switch {
	case len(fields) == 1 && numbers == 1:
		return LIRS
	case len(fields) == 4 && numbers == 4:
		return ARC
	case len(fields) == 3:
		if _, ok := parseSeconds(fields[0]); ok {
			return Spaced
		}
	}
	return ""
}

// looksLikeOracle checks the one field whose value is bound to its place: the
// next access lies behind the present one or does not exist. A record of random
// bytes passes with a chance of 2^-24.
func looksLikeOracle(head []byte) bool {
	const horizon = 1 << 40 // positions beyond are taken for noise
	records := len(head) / oracleBytes
	for i := range records {
		next := int64(binary.LittleEndian.Uint64(head[i*oracleBytes+16:]))
		if next != -1 && (next <= int64(i+1) || next > horizon) {
			return false
		}
	}
	return records > 0
}
