package proxy

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// markerLife is how long a marker is fresh. When it is replaced, its variants
// can no longer be selected and leave by age or for room.
const markerLife = 24 * time.Hour

// marker says by which fields the answers to a key vary. Deleting it makes all
// variants unreachable at once, because their keys contain its generation.
type marker struct {
	generation string // random, 16 hexadecimal digits
	names      []string

	mu sync.Mutex // guards the fields below
	// variants has, by key, until when each variant may be stored: the bound
	// on their number. It is this process's own count: a marker that comes
	// from the second tier starts empty.
	variants map[string]time.Time
}

func newMarker(names []string) *Response {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return &Response{
		received: time.Now().UnixNano(),
		marker:   &marker{generation: hex.EncodeToString(b[:]), names: names},
	}
}

func decodeMarker(generation, list string) *marker {
	names := strings.Split(list, ",")
	if b, err := hex.DecodeString(generation); err != nil || len(b) != 8 || len(names) > maxVaryNames {
		return nil
	}
	if !slices.IsSorted(names) {
		return nil
	}
	for _, name := range names {
		if !isToken(name) || name == "*" || http.CanonicalHeaderKey(name) != name {
			return nil
		}
	}
	return &marker{generation: generation, names: names}
}

func (m *marker) list() string { return strings.Join(m.names, ",") }

// covers reports whether the marker's names include all of these.
func (m *marker) covers(names []string) bool {
	for _, name := range names {
		if !slices.Contains(m.names, name) {
			return false
		}
	}
	return true
}

// key returns the key of the variant that a request with these fields selects.
func (m *marker) key(base string, h http.Header) string {
	return variantKey(base, m.generation, m.names, h)
}

// admit reports whether the variant of that key may be stored until then: it
// is among the variants already, or there is room for one more.
func (m *marker) admit(key string, now, until time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.variants[key]; !ok && len(m.variants) >= maxVariants {
		for k, end := range m.variants {
			if !end.After(now) {
				delete(m.variants, k)
			}
		}
		if len(m.variants) >= maxVariants {
			return false
		}
	}
	if m.variants == nil {
		m.variants = make(map[string]time.Time)
	}
	m.variants[key] = until
	return true
}
