package config

import (
	"strconv"
	"strings"
)

// lineIndex finds the line of a key in TOML text, which the TOML library does
// not tell for keys that it does not know or that fail a check of ours.
type lineIndex map[string]int

// indexLines scans text for table headers and keys. Elements of arrays of
// tables are counted: the second [[route]] is "route[1]". Keys of inline
// tables have the line of the table.
func indexLines(text string) lineIndex {
	index := lineIndex{}
	elements := map[string]int{}
	table := ""
	multiline := ""
	for i, line := range strings.Split(text, "\n") {
		if multiline != "" {
			if strings.Contains(line, multiline) {
				multiline = ""
			}
			continue
		}
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case strings.HasPrefix(line, "[["):
			name, _, _ := strings.Cut(line[2:], "]]")
			path := joinKey(splitKey(name))
			table = indexed(path, elements[path])
			elements[path]++
			index.add(table, i+1)
		case line[0] == '[':
			name, _, _ := strings.Cut(line[1:], "]")
			table = joinKey(splitKey(name))
			index.add(table, i+1)
		default:
			name, value, ok := cutKey(line)
			if !ok {
				continue
			}
			path := joinKey(splitKey(name))
			if table != "" {
				path = table + "." + path
			}
			index.add(path, i+1)
			for _, quote := range []string{`"""`, `'''`} {
				if strings.Count(value, quote) == 1 {
					multiline = quote
				}
			}
		}
	}
	return index
}

func (x lineIndex) add(path string, line int) {
	if _, ok := x[path]; !ok {
		x[path] = line
	}
}

// of returns the line of a key or, where it is not written, of the nearest
// table around it; 0 where there is none.
func (x lineIndex) of(path string) int {
	for path != "" {
		if line, ok := x[path]; ok {
			return line
		}
		i := strings.LastIndexByte(path, '.')
		if i < 0 {
			return 0
		}
		path = path[:i]
	}
	return 0
}

func indexed(path string, i int) string {
	return path + "[" + strconv.Itoa(i) + "]"
}

// cutKey splits "key = value" at the first equals sign outside of quotes.
func cutKey(line string) (key, value string, ok bool) {
	quote := byte(0)
	for i := range len(line) {
		switch c := line[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '=':
			return line[:i], line[i+1:], true
		case c == '#':
			return "", "", false
		}
	}
	return "", "", false
}

// splitKey splits a dotted key into its parts, quotes removed.
func splitKey(key string) []string {
	var parts []string
	var part strings.Builder
	quote := byte(0)
	for i := range len(key) {
		switch c := key[i]; {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote == 0 && c == '.':
			parts = append(parts, part.String())
			part.Reset()
		case quote == 0 && (c == ' ' || c == '\t'):
		default:
			part.WriteByte(c)
		}
	}
	return append(parts, part.String())
}

func joinKey(parts []string) string { return strings.Join(parts, ".") }
