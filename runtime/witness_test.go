package perfopt

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// witness remembers which values every number of /v1/stats and /metrics had.
// A number has one place in each scene: what counts is that it moves, not that
// two runtimes differ. Safe for concurrent use.
type witness struct {
	mu sync.Mutex
	// guards the field below: by leaf, then by place, then by value
	seen map[string]map[string]map[float64]bool
}

func newWitness() *witness { return &witness{seen: map[string]map[string]map[float64]bool{}} }

// look takes down all numbers of a runtime.
func (w *witness) look(t *testing.T, scene string, rt *Runtime) {
	t.Helper()
	w.stats(t, scene, rt)
	w.metrics(t, scene, rt)
}

func (w *witness) stats(t *testing.T, scene string, rt *Runtime) {
	t.Helper()
	var document any
	if err := json.Unmarshal([]byte(ask(t, rt, "/v1/stats")), &document); err != nil {
		t.Errorf("/v1/stats is no JSON: %v", err)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flatten(scene, "", "", document)
}

// ask asks the admin side without a network.
func ask(t *testing.T, rt *Runtime, path string) string {
	t.Helper()
	answer := httptest.NewRecorder()
	rt.AdminHandler().ServeHTTP(answer, httptest.NewRequest("GET", "http://localhost"+path, nil))
	if answer.Code != 200 {
		t.Errorf("%s: %d %s", path, answer.Code, answer.Body)
	}
	return answer.Body.String()
}

// flatten walks a document. In leaf the parts that configuration or data name
// (caches, seats, routes, points) are a star; in place they are as they are.
func (w *witness) flatten(place, leaf, parent string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			star := key
			if parent == "caches" {
				star = "*"
			}
			w.flatten(place+"."+key, strings.TrimPrefix(leaf+"."+star, "."), key, value)
		}
	case []any:
		for i, value := range v {
			name, star := elementName(parent, i, value)
			w.flatten(place+"["+name+"]", leaf+"["+star+"]", "", value)
		}
	case float64:
		w.add(leaf, place, v)
	case bool:
		w.add(leaf, place, map[bool]float64{true: 1}[v])
	}
}

// elementName names an element of an array. What is not interchangeable, such
// as the outcomes of a route, has a leaf of its own.
func elementName(array string, i int, v any) (place, leaf string) {
	object, _ := v.(map[string]any)
	text := func(key string) string { return fmt.Sprint(object[key]) }
	switch array {
	case "outcomes":
		return text("outcome"), text("outcome")
	case "classes":
		return text("name"), text("name")
	case "working_set":
		return text("seconds"), text("seconds")
	case "seats":
		return text("seat"), "*"
	case "routes":
		return text("route"), "*"
	case "policy_metrics":
		return text("seat") + text("name"), "*"
	case "series":
		return "", "*" // a point stays as it is: points differ
	}
	return strconv.Itoa(i), "*"
}

var sampleLine = regexp.MustCompile(`^(perfopt_[a-z0-9_]+)(?:\{(.*)\})? (\S+)$`)

func (w *witness) metrics(t *testing.T, scene string, rt *Runtime) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for line := range strings.Lines(ask(t, rt, "/metrics")) {
		m := sampleLine.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		value, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			t.Errorf("/metrics: %s: %v", line, err)
		}
		w.add("/metrics "+m[1], scene+m[2], value)
	}
}

// add is called with mu held.
func (w *witness) add(leaf, place string, v float64) {
	if w.seen[leaf] == nil {
		w.seen[leaf] = map[string]map[float64]bool{}
	}
	if w.seen[leaf][place] == nil {
		w.seen[leaf][place] = map[float64]bool{}
	}
	if len(w.seen[leaf][place]) < 2 {
		w.seen[leaf][place][v] = true
	}
}

// moved reports whether a leaf was seen to move in any of its places.
func (w *witness) moved(leaf string) bool {
	for _, values := range w.seen[leaf] {
		if len(values) > 1 {
			return true
		}
	}
	return false
}

// differed reports whether a leaf was seen with two values anywhere.
func (w *witness) differed(leaf string) bool {
	all := map[float64]bool{}
	for _, values := range w.seen[leaf] {
		maps.Copy(all, values)
	}
	return len(all) > 1
}

// check fails for every leaf that did not move. settings need only differ
// between runtimes; still are those that need not move, with the reason.
func (w *witness) check(t *testing.T, settings []string, still map[string]string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, leaf := range slices.Sorted(maps.Keys(w.seen)) {
		switch {
		case still[leaf] != "" || w.moved(leaf):
		case slices.Contains(settings, leaf):
			if !w.differed(leaf) {
				t.Errorf("%s is the same whatever the configuration says", leaf)
			}
		default:
			t.Errorf("%s never moved: %v", leaf, w.seen[leaf])
		}
	}
	for leaf, why := range still {
		if w.seen[leaf] == nil {
			t.Errorf("%s is not there (%s)", leaf, why)
		}
	}
	for _, leaf := range settings {
		if w.seen[leaf] == nil {
			t.Errorf("setting %s is not there", leaf)
		}
	}
}
