package policy

import (
	"errors"
	"math"
	"strconv"
)

// Manifest says what a policy is and what it wants from the host. Only Name is
// required.
type Manifest struct {
	// Name is the policy's name: a lower-case letter or digit, then up to 63 of
	// those, '.', '_' and '-'.
	Name string
	// Version is the author's version; free text.
	Version string
	// Columns are the columns that the policy reads. A host that does not know
	// one of them refuses the policy.
	Columns []Column
	// Optional are columns that the policy can do without: NaN in every row
	// where the host has none.
	Optional []Column
	// MaxBatch is the largest number of rows or events of a call, 1..1024; 0
	// means 1024.
	MaxBatch int
	// StateVersion is the version of what [Stateful] exports; 0 means that no
	// state is handed over.
	StateVersion uint32
	// Config is the schema of the settings.
	Config Schema
	// Gauges and Counters are the metrics that the policy reports; at most 32.
	Gauges   []*Gauge
	Counters []*Counter
}

// kinds lists what p decides, in the words of the manifest.
func (g *guest) kinds() (kinds []string) {
	if g.scorer != nil || g.orderer != nil {
		kinds = append(kinds, "eviction")
	}
	if g.ttl != nil {
		kinds = append(kinds, "ttl")
	}
	if g.prefetch != nil {
		kinds = append(kinds, "prefetch")
	}
	if g.scaling != nil {
		kinds = append(kinds, "scaling")
	}
	return kinds
}

// check returns what is wrong with a manifest.
func (m *Manifest) check() error {
	if !validName(m.Name) {
		return errors.New("manifest: name " + strconv.Quote(m.Name) + ": want a lower-case letter or digit, then up to 63 of those, '.', '_' and '-'")
	}
	if m.MaxBatch < 0 || m.MaxBatch > batchMax {
		return errors.New("manifest: MaxBatch " + strconv.Itoa(m.MaxBatch) + ": want 1 to " + strconv.Itoa(batchMax))
	}
	var seen [numColumns]bool
	for _, c := range m.columns() {
		if c >= numColumns {
			return errors.New("manifest: column " + strconv.Itoa(int(c)) + ": unknown")
		}
		if seen[c] {
			return errors.New("manifest: column " + c.String() + ": listed twice")
		}
		seen[c] = true
	}
	if n := len(m.Gauges) + len(m.Counters); n > metricsMax {
		return errors.New("manifest: " + strconv.Itoa(n) + " metrics: want at most " + strconv.Itoa(metricsMax))
	}
	if err := m.checkMetrics(); err != nil {
		return err
	}
	for key, p := range m.Config {
		if !validKey(key) {
			return errors.New("manifest: setting " + strconv.Quote(key) + ": want a lower-case letter, then up to 63 of those, digits and '_'")
		}
		if err := p.check(); err != "" {
			return errors.New("manifest: setting " + strconv.Quote(key) + ": " + err)
		}
	}
	return nil
}

func (m *Manifest) checkMetrics() error {
	seen := map[string]bool{}
	for _, x := range m.metrics() {
		if !validKey(x.name) {
			return errors.New("manifest: metric " + strconv.Quote(x.name) + ": want a lower-case letter, then up to 63 of those, digits and '_'")
		}
		if seen[x.name] {
			return errors.New("manifest: metric " + strconv.Quote(x.name) + ": listed twice")
		}
		seen[x.name] = true
	}
	return nil
}

// metrics returns all metrics in the order of their ids.
func (m *Manifest) metrics() []*metric {
	all := make([]*metric, 0, len(m.Gauges)+len(m.Counters))
	for _, x := range m.Gauges {
		all = append(all, &x.metric)
	}
	for _, x := range m.Counters {
		all = append(all, &x.metric)
	}
	return all
}

// check returns what is wrong with a setting's declaration.
func (p Param) check() (why string) {
	switch p.kind {
	case kindNumber, kindInteger:
		return p.set(scalar{kind: kindNumber, number: p.number})
	case kindBoolean:
		return ""
	case kindString:
		return p.set(scalar{kind: kindString, text: p.text})
	}
	return "make it with policy.Number, Integer, Boolean or String"
}

func validName(s string) bool {
	for i := range len(s) {
		c := s[i]
		alnum := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !alnum && (i == 0 || c != '.' && c != '_' && c != '-') {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 64
}

func validKey(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 64
}

// columns returns the wanted columns in the order in which the host lays them
// out.
func (m *Manifest) columns() []Column {
	all := make([]Column, 0, len(m.Columns)+len(m.Optional))
	return append(append(all, m.Columns...), m.Optional...)
}

func (m *Manifest) maxBatch() int {
	if m.MaxBatch == 0 {
		return batchMax
	}
	return m.MaxBatch
}

// json renders the manifest for the host.
func (g *guest) json() []byte {
	m := &g.manifest
	b := appendString([]byte(`{"name":`), m.Name)
	b = appendString(append(b, `,"version":`...), m.Version)
	b = strconv.AppendInt(append(b, `,"abi":`...), abiMajor, 10)
	b = append(b, `,"kinds":`...)
	b = appendList(b, g.kinds(), appendString)
	features := make([]string, 0, len(m.Columns)+len(m.Optional))
	for _, c := range m.Columns {
		features = append(features, c.String())
	}
	for _, c := range m.Optional {
		features = append(features, c.String()+"?")
	}
	b = append(b, `,"features":`...)
	b = appendList(b, features, appendString)
	b = strconv.AppendInt(append(b, `,"max_batch":`...), int64(m.maxBatch()), 10)
	b = strconv.AppendUint(append(b, `,"state_version":`...), uint64(m.StateVersion), 10)
	b = append(b, `,"config":{`...)
	for i, key := range sortedKeys(m.Config) {
		if i > 0 {
			b = append(b, ',')
		}
		b = m.Config[key].append(append(appendString(b, key), ':'))
	}
	b = append(b, `},"metrics":`...)
	b = appendList(b, m.metrics(), func(b []byte, x *metric) []byte {
		b = appendString(append(b, `{"name":`...), x.name)
		b = appendString(append(b, `,"type":`...), x.kind)
		return append(appendString(append(b, `,"help":`...), x.help), '}')
	})
	return append(b, `,"sdk":"go/1"}`...)
}

// append renders a setting of the schema.
func (p Param) append(b []byte) []byte {
	b = appendString(append(b, `{"type":`...), string(p.kind))
	b = append(b, `,"default":`...)
	switch p.kind {
	case kindBoolean:
		b = strconv.AppendBool(b, p.boolean)
	case kindString:
		b = appendString(b, p.text)
	default:
		b = strconv.AppendFloat(b, p.number, 'g', -1, 64)
	}
	if !math.IsNaN(p.min) {
		b = strconv.AppendFloat(append(b, `,"min":`...), p.min, 'g', -1, 64)
		b = strconv.AppendFloat(append(b, `,"max":`...), p.max, 'g', -1, 64)
	}
	if len(p.enum) > 0 {
		b = appendList(append(b, `,"enum":`...), p.enum, appendString)
	}
	if p.doc != "" {
		b = appendString(append(b, `,"doc":`...), p.doc)
	}
	return append(b, '}')
}

func appendList[T any](b []byte, list []T, each func([]byte, T) []byte) []byte {
	b = append(b, '[')
	for i, x := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = each(b, x)
	}
	return append(b, ']')
}

// sortedKeys makes the same source render the same manifest.
func sortedKeys(s Schema) []string {
	keys := make([]string, 0, len(s))
	for k := range s {
		at := 0
		for at < len(keys) && keys[at] < k {
			at++
		}
		keys = append(keys, "")
		copy(keys[at+1:], keys[at:])
		keys[at] = k
	}
	return keys
}
