package scheduler

import (
	"fmt"

	"github.com/perfopt/perfopt/policies"
)

// Priority orders waiting work: a waiter of a more important priority is
// always served first. The zero value is Critical.
type Priority uint8

// The priorities, most important first.
const (
	Critical Priority = iota
	High
	Normal
	Low
	Background
)

var priorityNames = [policies.NumPriorities]string{"critical", "high", "normal", "low", "background"}

// String returns the lower-case name of the priority.
func (p Priority) String() string {
	if int(p) < len(priorityNames) {
		return priorityNames[p]
	}
	return "unknown"
}

// ParsePriority returns the priority of that name.
func ParsePriority(name string) (Priority, error) {
	for p, n := range priorityNames {
		if n == name {
			return Priority(p), nil
		}
	}
	return 0, fmt.Errorf("unknown priority %q: want critical, high, normal, low or background", name)
}

// MarshalText implements [encoding.TextMarshaler].
func (p Priority) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (p *Priority) UnmarshalText(text []byte) error {
	parsed, err := ParsePriority(string(text))
	if err == nil {
		*p = parsed
	}
	return err
}

// PerPriority has one value for each priority.
type PerPriority[T any] struct {
	Critical   T `json:"critical"`
	High       T `json:"high"`
	Normal     T `json:"normal"`
	Low        T `json:"low"`
	Background T `json:"background"`
}

func perPriority[T any](v [policies.NumPriorities]T) PerPriority[T] {
	return PerPriority[T]{Critical: v[Critical], High: v[High], Normal: v[Normal], Low: v[Low], Background: v[Background]}
}
