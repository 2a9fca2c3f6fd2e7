package main

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"github.com/perfopt/perfopt/internal/terminal"
)

// member is a name and value of a JSON object, in the order of the document.
type member struct {
	name  string
	value any // string, json.Number, bool, nil, []any or object
}

type object []member

// printDocument prints a daemon's answer: as it is with --json, else laid out
// for people, whatever its members are, so that a daemon can say more than the
// tool knew.
func (e *env) printDocument(body json.RawMessage) int {
	if e.json {
		var b bytes.Buffer
		if err := json.Indent(&b, body, "", "  "); err != nil {
			return e.wrong(err)
		}
		e.printf("%s\n", strings.TrimRight(b.String(), "\n"))
		return exitOK
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	v, err := decodeOrdered(d)
	if err != nil {
		return e.wrong(err)
	}
	var b strings.Builder
	layOut(&b, v, "")
	e.printf("%s", b.String())
	return exitOK
}

// printTable prints a table as the result.
func (e *env) printTable(t *terminal.Table) int {
	if err := t.Print(e.stdout); err != nil {
		return e.wrong(err)
	}
	return exitOK
}

// decodeOrdered reads the next JSON value, keeping the order of members.
func decodeOrdered(d *json.Decoder) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		o := object{}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := decodeOrdered(d)
			if err != nil {
				return nil, err
			}
			o = append(o, member{name.(string), v})
		}
		_, err = d.Token()
		return o, err
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := decodeOrdered(d)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = d.Token()
		return list, err
	}
	return token, nil
}

// layOut writes a value: single values of an object beside their names, then
// its lists and objects each under its name.
func layOut(w *strings.Builder, v any, indent string) {
	switch v := v.(type) {
	case object:
		t := terminal.Table{Indent: indent, Unaligned: true}
		gap := ""
		for _, m := range v {
			if text, ok := single(m.name, m.value); ok {
				t.Row(words(m.name), text)
				gap = "\n"
			}
		}
		t.Print(w)
		for _, m := range v {
			if _, ok := single(m.name, m.value); ok {
				continue
			}
			w.WriteString(gap + indent + words(m.name) + "\n")
			gap = "\n"
			layOut(w, m.value, indent+"  ")
		}
	case []any:
		if !layOutRows(w, v, indent) {
			for _, x := range v {
				if text, ok := single("", x); ok {
					w.WriteString(indent + text + "\n")
				} else {
					layOut(w, x, indent)
				}
			}
		}
	default:
		text, _ := single("", v)
		w.WriteString(indent + text + "\n")
	}
}

// layOutRows writes a list of objects of single values as a table, or reports
// that it is something else.
func layOutRows(w *strings.Builder, list []any, indent string) bool {
	if len(list) == 0 {
		return false
	}
	var names []string
	column := map[string]int{}
	for _, x := range list {
		o, ok := x.(object)
		if !ok {
			return false
		}
		for _, m := range o {
			if _, ok := single(m.name, m.value); !ok {
				return false
			}
			if _, ok := column[m.name]; !ok {
				column[m.name] = len(names)
				names = append(names, m.name)
			}
		}
	}
	t := terminal.Table{Indent: indent}
	heading := make([]string, len(names))
	for i, n := range names {
		heading[i] = strings.ToUpper(words(n))
	}
	t.Row(heading...)
	for _, x := range list {
		row := make([]string, len(names))
		for _, m := range x.(object) {
			row[column[m.name]], _ = single(m.name, m.value)
		}
		t.Row(row...)
	}
	t.Print(w)
	return true
}

// single says a value that fits beside its name; false for lists and objects
// that have members.
func single(name string, v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "-", true
	case bool:
		if v {
			return "yes", true
		}
		return "no", true
	case string:
		return dash(v), true
	case json.Number:
		return number(name, v), true
	case object:
		return "-", len(v) == 0
	case []any:
		if len(v) == 0 {
			return "-", true
		}
		var texts []string
		for _, x := range v {
			if _, nested := x.(object); nested || len(v) > 16 {
				return "", false
			}
			text, ok := single(name, x)
			if !ok {
				return "", false
			}
			texts = append(texts, text)
		}
		return strings.Join(texts, "  "), true
	}
	return "", false
}

// number says a number: whole ones with thousands set apart, shares of one in
// per cent where the name says ratio, others with four digits that matter.
func number(name string, n json.Number) string {
	if i, err := n.Int64(); err == nil {
		if strings.HasSuffix(name, "_bytes") || name == "bytes" {
			return terminal.Bytes(i)
		}
		return terminal.Count(i)
	}
	f, err := n.Float64()
	if err != nil {
		return n.String()
	}
	if strings.HasSuffix(name, "ratio") {
		return strconv.FormatFloat(100*f, 'f', 2, 64) + " %"
	}
	if math.Abs(f) >= 1000 && math.Abs(f) < 1<<53 {
		return terminal.Count(int64(math.Round(f)))
	}
	return strconv.FormatFloat(f, 'g', 4, 64)
}

// words turns a member's name into words.
func words(name string) string { return strings.ReplaceAll(name, "_", " ") }
