package hostabi

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/perfopt/perfopt/hostabi/abi"
)

// Param is a setting in a module's config schema.
type Param struct {
	Type    string   `json:"type"` // number, integer, boolean or string
	Default any      `json:"default"`
	Min     *float64 `json:"min,omitempty"` // of numbers and integers
	Max     *float64 `json:"max,omitempty"`
	Enum    []any    `json:"enum,omitempty"`
	Doc     string   `json:"doc,omitempty"`
}

func (m *Manifest) checkConfig(wrong func(string, ...any)) {
	if len(m.Config) > abi.ConfigMaxKeys {
		wrong("config has %d keys: want at most %d", len(m.Config), abi.ConfigMaxKeys)
		return
	}
	for _, key := range sortedKeys(m.Config) {
		p := m.Config[key]
		switch {
		case !keyName.MatchString(key):
			wrong("config: key %q: want a lower-case letter, then up to 63 of those, digits and '_'", clip(key, 80))
		case !slices.Contains([]string{"number", "integer", "boolean", "string"}, p.Type):
			wrong("config: %s has type %q: want number, integer, boolean or string", key, clip(p.Type, 80))
		case p.Default == nil:
			wrong("config: %s has no default", key)
		case !printable(p.Doc, 512):
			wrong("config: %s: doc: want at most 512 printable characters", key)
		default:
			if _, err := p.accept(p.Default); err != nil {
				wrong("config: %s: default %v: %w", key, p.Default, err)
			}
		}
	}
}

// accept returns the value in the type that the parameter wants.
func (p Param) accept(v any) (any, error) {
	var got any
	switch p.Type {
	case "boolean":
		b, ok := v.(bool)
		if !ok {
			return nil, fmt.Errorf("is a %s, want a boolean", kindOf(v))
		}
		got = b
	case "string":
		s, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("is a %s, want a string", kindOf(v))
		}
		if len(s) > abi.ConfigStringMax {
			return nil, fmt.Errorf("has %d bytes, want at most %d", len(s), abi.ConfigStringMax)
		}
		got = s
	default:
		n, ok := number(v)
		if !ok || math.IsNaN(n) || math.IsInf(n, 0) {
			return nil, fmt.Errorf("is a %s, want a finite %s", kindOf(v), p.Type)
		}
		if p.Type == "integer" && (n != math.Trunc(n) || math.Abs(n) > 1<<53) {
			return nil, fmt.Errorf("is %v, want an integer of at most 53 bits", n)
		}
		if p.Min != nil && n < *p.Min {
			return nil, fmt.Errorf("is %v, want at least %v", n, *p.Min)
		}
		if p.Max != nil && n > *p.Max {
			return nil, fmt.Errorf("is %v, want at most %v", n, *p.Max)
		}
		got = n
	}
	if len(p.Enum) > 0 && !slices.ContainsFunc(p.Enum, func(e any) bool { return equal(e, got) }) {
		return nil, fmt.Errorf("is %v, want one of %v", got, p.Enum)
	}
	return got, nil
}

func equal(e, got any) bool {
	if n, ok := number(e); ok {
		return any(n) == got
	}
	switch e.(type) {
	case string, bool:
		return e == got
	}
	return false
}

func number(v any) (float64, bool) {
	switch n := v.(type) {
	case float64:
		return n, true
	case float32:
		return float64(n), true
	case int:
		return float64(n), true
	case int64:
		return float64(n), true
	case int32:
		return float64(n), true
	case uint64:
		return float64(n), true
	case uint32:
		return float64(n), true
	case json.Number:
		f, err := n.Float64()
		return f, err == nil
	}
	return 0, false
}

func kindOf(v any) string {
	switch v.(type) {
	case bool:
		return "boolean"
	case string:
		return "string"
	case nil:
		return "null"
	case []any:
		return "list"
	case map[string]any:
		return "table"
	}
	if _, ok := number(v); ok {
		return "number"
	}
	return fmt.Sprintf("%T", v)
}

// config checks settings against the schema and returns the object with every
// key, defaults filled in, as JSON. All problems are reported together.
func (m *Manifest) config(settings map[string]any) ([]byte, error) {
	all := make(map[string]any, len(m.Config))
	var problems []error
	for key, p := range m.Config {
		all[key], _ = p.accept(p.Default)
	}
	for _, key := range sortedKeys(settings) {
		p, known := m.Config[key]
		if !known {
			problems = append(problems, fmt.Errorf("config: unknown key %q: policy %s knows %s", key, m.Name, keyList(m.Config)))
			continue
		}
		v, err := p.accept(settings[key])
		if err != nil {
			problems = append(problems, fmt.Errorf("config: %s %w", key, err))
			continue
		}
		all[key] = v
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	text, err := json.Marshal(all)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	if len(text) > abi.ConfigMaxBytes {
		return nil, fmt.Errorf("config has %d bytes as JSON, want at most %d", len(text), abi.ConfigMaxBytes)
	}
	return text, nil
}

func keyList(schema map[string]Param) string {
	if len(schema) == 0 {
		return "no settings"
	}
	return strings.Join(sortedKeys(schema), ", ")
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
