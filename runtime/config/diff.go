package config

import (
	"iter"
	"maps"
	"reflect"
	"slices"
	"strconv"

	"github.com/perfopt/perfopt/policies"
)

// Seated is a policy that a configuration names, with the kind of its seat.
type Seated struct {
	Kind   policies.Kind
	Policy Policy
}

// Policies yields every policy that the configuration names under its key,
// such as "policy.ttl" or "caches.docs.policy.eviction".
func (c Config) Policies() iter.Seq2[string, Seated] {
	return func(yield func(string, Seated) bool) {
		seats := func(prefix string, s Seats) bool {
			for _, kind := range policies.Kinds() {
				if p := s.Of(kind); p.Use != "" && !yield(prefix+string(kind), Seated{kind, p}) {
					return false
				}
			}
			return true
		}
		if !seats("policy.", c.Policy) {
			return
		}
		for _, name := range slices.Sorted(maps.Keys(c.Caches)) {
			if !seats("caches."+name+".policy.", c.Caches[name].Policy) {
				return
			}
		}
	}
}

// Diff returns the keys whose values differ, sorted.
func Diff(a, b Config) []string {
	left, right := map[string]any{}, map[string]any{}
	flatten(reflect.ValueOf(a), "", left)
	flatten(reflect.ValueOf(b), "", right)
	var keys []string
	for key, v := range left {
		if w, ok := right[key]; !ok || !reflect.DeepEqual(v, w) {
			keys = append(keys, key)
		}
	}
	for key := range right {
		if _, ok := left[key]; !ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

func flatten(v reflect.Value, path string, into map[string]any) {
	join := func(name string) string {
		if path == "" {
			return name
		}
		return path + "." + name
	}
	switch {
	case isValue(v.Type()):
		into[path] = v.Interface()
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			flatten(v.Field(i), join(v.Type().Field(i).Tag.Get("toml")), into)
		}
	case v.Kind() == reflect.Map && v.Type().Elem().Kind() == reflect.Struct:
		for _, key := range v.MapKeys() {
			flatten(v.MapIndex(key), join(key.String()), into)
		}
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		for i := range v.Len() {
			flatten(v.Index(i), path+"["+strconv.Itoa(i)+"]", into)
		}
	default:
		into[path] = v.Interface()
	}
}
