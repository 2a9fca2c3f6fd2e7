package config

import (
	"encoding"
	"reflect"
	"slices"
	"strings"
)

// field is one key of the configuration.
type field struct {
	path  string // such as "cache.l2.url"; a map's key is "*", an array's index too
	index []int  // reflect index from Config; nil below a map or array
	typ   reflect.Type
}

// schema lists all keys of a configuration in the order of the structs.
func schema() []field {
	var fields []field
	walk(reflect.TypeFor[Config](), "", []int{}, &fields)
	return fields
}

func walk(t reflect.Type, prefix string, index []int, fields *[]field) {
	for i := range t.NumField() {
		f := t.Field(i)
		path := prefix + f.Tag.Get("toml")
		var at []int
		if index != nil {
			at = append(slices.Clone(index), i)
		}
		switch {
		case isValue(f.Type):
			*fields = append(*fields, field{path, at, f.Type})
		case f.Type.Kind() == reflect.Struct:
			walk(f.Type, path+".", at, fields)
		case f.Type.Kind() == reflect.Map && f.Type.Elem().Kind() == reflect.Struct:
			walk(f.Type.Elem(), path+".*.", nil, fields)
		case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
			walk(f.Type.Elem(), path+".*.", nil, fields)
		default:
			*fields = append(*fields, field{path, at, f.Type})
		}
	}
}

func isValue(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// Keys returns all keys that policies.toml may have, such as "cache.capacity";
// "caches.*.capacity" and "route.*.path" stand for every name and element.
func Keys() []string {
	var keys []string
	for _, f := range schema() {
		keys = append(keys, f.path)
	}
	return keys
}

// nearest returns the known key that an unknown one was probably meant to be,
// "" where none is near.
func nearest(unknown string) string {
	parts := strings.Split(unknown, ".")
	switch {
	case len(parts) > 2 && parts[0] == "caches":
		parts[1] = "*"
	case len(parts) > 1 && parts[0] == "route":
		parts = slices.Insert(parts, 1, "*") // the library names no index
	}
	best, bestDistance := "", 4
	consider := func(candidate, shown string) {
		if d := editDistance(strings.Join(parts, "."), candidate); d < bestDistance {
			best, bestDistance = shown, d
		}
	}
	seen := map[string]bool{}
	for _, key := range Keys() {
		if strings.Count(key, ".") == len(parts)-1 {
			consider(key, key[strings.LastIndexByte(key, '.')+1:])
		}
		for table := key; strings.Contains(table, "."); {
			table = table[:strings.LastIndexByte(table, '.')]
			if !seen[table] && !strings.HasSuffix(table, "*") {
				seen[table] = true
				consider(table, table)
			}
		}
	}
	return best
}

// editDistance is the Levenshtein distance.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			substitute := diagonal
			if a[i-1] != b[j-1] {
				substitute++
			}
			diagonal = row[j]
			row[j] = min(substitute, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
