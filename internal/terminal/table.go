package terminal

import (
	"io"
	"strings"
	"unicode/utf8"
)

// Table is rows of cells under a heading. The zero value is empty and ready.
type Table struct {
	// Indent is written before each line.
	Indent string
	// Unaligned sets numbers to the left like everything else: for names with
	// values of different kinds, without a heading.
	Unaligned bool

	rows [][]string
}

// Row adds a row. The first one may be a heading.
func (t *Table) Row(cells ...string) { t.rows = append(t.rows, cells) }

// Print writes the table: two spaces between columns, and a column in which
// every cell below the first row is a number set to the right.
func (t *Table) Print(w io.Writer) error {
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	right := make([]bool, len(widths))
	for i := range right {
		right[i] = !t.Unaligned && t.numeric(i)
	}
	var b strings.Builder
	for _, row := range t.rows {
		line := t.Indent
		for i, cell := range row {
			if i > 0 {
				line += "  "
			}
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if right[i] {
				line += pad + cell
			} else {
				line += cell + pad
			}
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// numeric reports whether every cell of a column below the first row starts
// as a number does; "-" and empty cells do not count.
func (t *Table) numeric(column int) bool {
	seen := false
	for i, row := range t.rows {
		if i == 0 || column >= len(row) || row[column] == "" || row[column] == "-" {
			continue
		}
		seen = true
		if strings.Count(row[column], ".") > 1 { // a version
			return false
		}
		for _, r := range row[column] {
			if r >= '0' && r <= '9' || strings.ContainsRune("+-.,% ", r) {
				continue
			}
			return false
		}
	}
	return seen
}
