package hostabi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/perfopt/perfopt/hostabi/abi"
	"github.com/perfopt/perfopt/policies"
)

// Manifest is what a module says of itself.
type Manifest struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// ABI is the major version of the interface.
	ABI   int             `json:"abi"`
	Kinds []policies.Kind `json:"kinds"`
	// Features are the columns wanted, in the order in which they are laid out;
	// with '?' at the end of the name it can do without.
	Features []string `json:"features"`
	// MaxBatch is the most rows of a call.
	MaxBatch uint32 `json:"max_batch"`
	// StateVersion is the version of exported state; 0 is none.
	StateVersion uint32           `json:"state_version"`
	Config       map[string]Param `json:"config"`
	Metrics      []Metric         `json:"metrics"`
	SDK          string           `json:"sdk"`
}

// Metric is a number that a module reports.
type Metric struct {
	Name string `json:"name"`
	Type string `json:"type"` // gauge or counter
	Help string `json:"help"`
}

var (
	policyName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	keyName    = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
)

// parseManifest reads and checks a manifest. Fields it does not know are
// skipped: a later minor version may have added them.
func parseManifest(text []byte) (Manifest, error) {
	var m Manifest
	if !utf8.Valid(text) {
		return m, errors.New("manifest is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&m); err != nil {
		return m, fmt.Errorf("manifest is not the JSON that was wanted: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return m, errors.New("manifest goes on behind its JSON object")
	}
	if m.MaxBatch == 0 {
		m.MaxBatch = abi.BatchMax
	}
	return m, m.check()
}

// check returns all problems together.
func (m *Manifest) check() error {
	var problems []error
	wrong := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("manifest: "+format, args...))
	}
	if !policyName.MatchString(m.Name) {
		wrong("name %q: want a lower-case letter or digit, then up to 63 of those, '.', '_' and '-'", clip(m.Name, 80))
	}
	if !printable(m.Version, 64) {
		wrong("version %q: want at most 64 printable characters", clip(m.Version, 80))
	}
	if !printable(m.SDK, 64) {
		wrong("sdk %q: want at most 64 printable characters", clip(m.SDK, 80))
	}
	if m.ABI != abi.Major {
		wrong("abi %d: want %d", m.ABI, abi.Major)
	}
	if len(m.Kinds) == 0 {
		wrong("kinds is empty: want one or more of eviction, ttl, prefetch, scaling")
	}
	for i, k := range m.Kinds {
		if _, err := policies.ParseKind(string(k)); err != nil {
			wrong("kinds: %q: want eviction, ttl, prefetch or scaling", clip(string(k), 80))
		} else if slices.Contains(m.Kinds[:i], k) {
			wrong("kinds: %q is there twice", k)
		}
	}
	if m.MaxBatch > abi.BatchMax {
		wrong("max_batch %d: want at most %d", m.MaxBatch, abi.BatchMax)
	}
	m.checkFeatures(wrong)
	m.checkMetrics(wrong)
	m.checkConfig(wrong)
	return errors.Join(problems...)
}

func (m *Manifest) checkFeatures(wrong func(string, ...any)) {
	if len(m.Features) > abi.FeaturesMax {
		wrong("%d features: want at most %d", len(m.Features), abi.FeaturesMax)
		return
	}
	for i, f := range m.Features {
		name, optional := strings.CutSuffix(f, abi.OptionalSuffix)
		if _, known := policies.ParseColumn(name); !known && !optional {
			wrong("features: %q is unknown: want one of %s, or %q if the policy can do without", clip(f, 80), columnNames(), clip(f, 80)+abi.OptionalSuffix)
		}
		if slices.ContainsFunc(m.Features[:i], func(g string) bool { return strings.TrimSuffix(g, abi.OptionalSuffix) == name }) {
			wrong("features: %q is there twice", clip(f, 80))
		}
	}
}

func (m *Manifest) checkMetrics(wrong func(string, ...any)) {
	if len(m.Metrics) > abi.MetricsMax {
		wrong("%d metrics: want at most %d", len(m.Metrics), abi.MetricsMax)
	}
	for i, x := range m.Metrics {
		if !keyName.MatchString(x.Name) {
			wrong("metrics: name %q: want a lower-case letter, then up to 63 of those, digits and '_'", clip(x.Name, 80))
		}
		if x.Type != "gauge" && x.Type != "counter" {
			wrong("metrics: %q has type %q: want gauge or counter", clip(x.Name, 80), clip(x.Type, 80))
		}
		if !printable(x.Help, 256) {
			wrong("metrics: %q: help: want at most 256 printable characters", clip(x.Name, 80))
		}
		if slices.ContainsFunc(m.Metrics[:i], func(y Metric) bool { return y.Name == x.Name }) {
			wrong("metrics: %q is there twice", clip(x.Name, 80))
		}
	}
}

// Has reports whether the module decides that kind.
func (m Manifest) Has(k policies.Kind) bool { return slices.Contains(m.Kinds, k) }

// column is a wanted feature; unknown ones are columns of NaN.
type column struct {
	column policies.Column
	known  bool
}

func (m *Manifest) columns() []column {
	list := make([]column, 0, len(m.Features))
	for _, f := range m.Features {
		c, known := policies.ParseColumn(strings.TrimSuffix(f, abi.OptionalSuffix))
		list = append(list, column{c, known})
	}
	return list
}

func columnNames() string {
	names := make([]string, 0, policies.NumColumns)
	for _, c := range abi.Columns() {
		names = append(names, c.Name)
	}
	return strings.Join(names, ", ")
}

func printable(s string, limit int) bool {
	return len(s) <= limit && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// clip shortens text of a module for an error.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit] + "..."
}
