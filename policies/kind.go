package policies

import (
	"fmt"
	"regexp"
	"strings"
)

// Kind is a kind of decision.
type Kind string

// The kinds of decision.
const (
	KindEviction Kind = "eviction" // which entries leave when room is needed
	KindTTL      Kind = "ttl"      // how long an entry stays fresh
	KindPrefetch Kind = "prefetch" // what to load before it is asked for
	KindScaling  Kind = "scaling"  // how much work may be in flight
)

// Kinds returns all kinds in the order in which they are listed to people.
func Kinds() []Kind {
	return []Kind{KindEviction, KindTTL, KindPrefetch, KindScaling}
}

// ParseKind returns the kind of that name.
func ParseKind(name string) (Kind, error) {
	for _, k := range Kinds() {
		if string(k) == name {
			return k, nil
		}
	}
	return "", fmt.Errorf("unknown policy kind %q: want eviction, ttl, prefetch or scaling", name)
}

// Seat is where a policy sits: "eviction" is the eviction seat of the default
// cache, "eviction@docs" that of the cache named docs. The scheduler has one
// seat, "scaling".
type Seat string

var seatName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

// SeatOf returns the seat of a kind in a named cache; cache "" or "default"
// means the default one.
func SeatOf(kind Kind, cache string) Seat {
	if cache == "" || cache == "default" {
		return Seat(kind)
	}
	return Seat(string(kind) + "@" + cache)
}

// ParseSeat splits a seat into its kind and the name of its cache ("default"
// where none is named).
func ParseSeat(seat string) (Kind, string, error) {
	name, cache, named := strings.Cut(seat, "@")
	kind, err := ParseKind(name)
	if err != nil {
		return "", "", fmt.Errorf("seat %q: %w", seat, err)
	}
	if !named {
		return kind, "default", nil
	}
	if kind == KindScaling {
		return "", "", fmt.Errorf("seat %q: the scheduler has one seat, %q", seat, KindScaling)
	}
	if !seatName.MatchString(cache) {
		return "", "", fmt.Errorf("seat %q: cache name %q: want lower-case letters, digits, '-' or '_'", seat, cache)
	}
	return kind, cache, nil
}
