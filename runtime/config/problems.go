package config

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	Source  string // the file, the environment variable or the flag
	Line    int    // line in the file, from 1; 0 = none
	Key     string // the key, such as "cache.capacity"; may be empty
	Message string // what is wrong and what to do
}

// String formats the problem as "file:line: key: message".
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.Source)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	if p.Key != "" {
		fmt.Fprintf(&b, ": %s", p.Key)
	}
	fmt.Fprintf(&b, ": %s", p.Message)
	return b.String()
}

// Problems are all things that are wrong with a configuration, as an error:
// one line each, in the order of the file.
type Problems []Problem

// Error lists the problems, one a line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Locate returns the problems with the lines of their keys in a file, for
// checks that were made on the values alone.
func (ps Problems) Locate(path string) Problems {
	text, err := os.ReadFile(path)
	if err != nil {
		return ps // the keys tell where to look
	}
	lines := indexLines(string(text))
	located := slices.Clone(ps)
	for i, p := range located {
		if line := lines.of(p.Key); line > 0 && p.Line == 0 {
			located[i].Source, located[i].Line = path, line
		}
	}
	return located
}

func (ps Problems) err() error {
	if len(ps) == 0 {
		return nil
	}
	slices.SortStableFunc(ps, func(a, b Problem) int {
		if a.Source != b.Source {
			return 0
		}
		return a.Line - b.Line
	})
	return ps
}
