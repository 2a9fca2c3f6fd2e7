package builtin

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"
)

// decode writes a configuration into a struct whose fields have json tags;
// embedded structs count as if their fields were the struct's own. All problems
// are reported together, in the order of the keys.
func decode(config map[string]any, options any) error {
	fields := fieldsOf(reflect.ValueOf(options).Elem())
	var problems []error
	for _, key := range slices.Sorted(maps.Keys(config)) {
		field, ok := fields[key]
		if !ok {
			problems = append(problems, unknownKey(key, fields))
			continue
		}
		if err := assign(field, config[key]); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", key, err))
		}
	}
	return errors.Join(problems...)
}

func unknownKey(key string, fields map[string]reflect.Value) error {
	if len(fields) == 0 {
		return fmt.Errorf("unknown key %q: the policy has no settings", key)
	}
	return fmt.Errorf("unknown key %q: there are %s", key, strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
}

func knownKeys(options any) []string {
	return slices.Sorted(maps.Keys(fieldsOf(reflect.ValueOf(options).Elem())))
}

func fieldsOf(v reflect.Value) map[string]reflect.Value {
	out := make(map[string]reflect.Value)
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Anonymous {
			maps.Copy(out, fieldsOf(v.Field(i)))
			continue
		}
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			out[name] = v.Field(i)
		}
	}
	return out
}

// assign converts what a file or a request said into a field.
func assign(field reflect.Value, value any) error {
	switch field.Interface().(type) {
	case time.Duration:
		d, err := duration(value)
		if err != nil {
			return err
		}
		field.SetInt(int64(d))
		return nil
	case []float64:
		numbers, err := numberList(value)
		if err != nil {
			return err
		}
		field.Set(reflect.ValueOf(numbers))
		return nil
	}
	switch field.Kind() {
	case reflect.Bool:
		b, ok := value.(bool)
		if !ok {
			return wanted(value, "true or false")
		}
		field.SetBool(b)
	case reflect.Float64:
		n, ok := number(value)
		if !ok {
			return wanted(value, "a number")
		}
		field.SetFloat(n)
	case reflect.Int:
		n, ok := number(value)
		if !ok || n != math.Trunc(n) || math.Abs(n) > 1<<53 {
			return wanted(value, "a whole number")
		}
		field.SetInt(int64(n))
	case reflect.String:
		s, ok := value.(string)
		if !ok {
			return wanted(value, "a string")
		}
		field.SetString(s)
	default:
		panic("builtin: setting of type " + field.Type().String())
	}
	return nil
}

func wanted(value any, what string) error {
	if s, ok := value.(string); ok {
		return fmt.Errorf("%q, want %s", s, what)
	}
	return fmt.Errorf("%v, want %s", value, what)
}

// number accepts every type that TOML and JSON decoders make of a number.
func number(value any) (float64, bool) {
	v := reflect.ValueOf(value)
	var n float64
	switch {
	case !v.IsValid():
		return 0, false
	case v.CanInt():
		n = float64(v.Int())
	case v.CanUint():
		n = float64(v.Uint())
	case v.CanFloat():
		n = v.Float()
	default:
		return 0, false
	}
	return n, !math.IsNaN(n) && !math.IsInf(n, 0)
}

func numberList(value any) ([]float64, error) {
	v := reflect.ValueOf(value)
	if !v.IsValid() || v.Kind() != reflect.Slice {
		return nil, wanted(value, "a list of numbers")
	}
	out := make([]float64, v.Len())
	for i := range out {
		n, ok := number(v.Index(i).Interface())
		if !ok {
			return nil, fmt.Errorf("[%d]: %w", i, wanted(v.Index(i).Interface(), "a number"))
		}
		out[i] = n
	}
	return out, nil
}

func duration(value any) (time.Duration, error) {
	if d, ok := value.(time.Duration); ok {
		return d, nil
	}
	if s, ok := value.(string); ok {
		d, err := time.ParseDuration(s)
		if err != nil {
			return 0, wanted(value, `a time such as "30s"`)
		}
		return d, nil
	}
	seconds, ok := number(value)
	if !ok || math.Abs(seconds) > math.MaxInt64/1e9 {
		return 0, wanted(value, `a time such as "30s", or a number of seconds`)
	}
	return time.Duration(seconds * 1e9), nil
}
