package features

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"

	"github.com/perfopt/perfopt/policies"
)

// SampledOptions describe a [Sampler].
type SampledOptions struct {
	// Sample is how many random residents are compared for each victim, beside
	// the newest entry. Default 16, at most 256.
	Sample int
	// Seed of the sampling.
	Seed uint64
}

const (
	defaultSample = 16
	maxSample     = 256
)

// Sampler is an eviction policy in the ordering form around a scorer: each
// victim is the lowest scored of a sample of random residents and the newest
// entry. It reads the residents from the table that the host keeps up to date:
// the table has observed a batch, and every eviction, before the sampler is
// asked for victims. Not safe for concurrent use.
type Sampler struct {
	scorer  policies.Scorer
	table   *Table
	options SampledOptions
	columns []policies.Column

	rng    *rand.PCG
	newest policies.Slot
	named  []uint64 // a bit a slot: named as a victim and not inserted since

	slots  []policies.Slot
	scores []float64
	rows   policies.Candidates
}

var (
	_ policies.Orderer  = (*Sampler)(nil)
	_ policies.Stateful = (*Sampler)(nil)
)

// Sampled returns the ordering form of a scorer over the residents of a table.
func Sampled(s policies.Scorer, t *Table, o SampledOptions) *Sampler {
	if o.Sample <= 0 {
		o.Sample = defaultSample
	}
	o.Sample = min(o.Sample, maxSample)
	return &Sampler{
		scorer: s, table: t, options: o, columns: s.Info().Columns,
		rng: rand.NewPCG(o.Seed, 1), newest: policies.NoSlot,
		slots: make([]policies.Slot, o.Sample+1), scores: make([]float64, o.Sample+1),
	}
}

// Info describes the scorer.
func (p *Sampler) Info() policies.Info { return p.scorer.Info() }

// Reset makes the sampler as fresh. The scorer keeps what it has learnt.
func (p *Sampler) Reset(policies.Capacity) error {
	p.rng.Seed(p.options.Seed, 1)
	p.newest = policies.NoSlot
	clear(p.named)
	return nil
}

// Observe remembers the newest entry; everything else is in the table.
func (p *Sampler) Observe(events []policies.Event, _ []policies.Insert) error {
	for i := range events {
		switch e := &events[i]; e.Op {
		case policies.OpInsert:
			p.newest = e.Slot
			p.forget(e.Slot)
		case policies.OpRestore:
			p.forget(e.Slot)
		}
	}
	return nil
}

// Victims names the lowest scored of a sample, once for each victim. A score
// that is not a number is a fault.
func (p *Sampler) Victims(need int64, out []policies.Slot) (int, error) {
	n := 0
	for n < len(out) && need > 0 {
		k := p.choose()
		if k == 0 {
			break
		}
		p.rows.Now = policies.Nanos(p.table.seen.Load())
		p.rows.Resize(k, p.columns)
		p.table.Fill(&p.rows.Rows, p.slots[:k])
		if err := p.scorer.Score(&p.rows, p.scores[:k]); err != nil {
			return n, err
		}
		lowest := 0
		for i, score := range p.scores[:k] {
			if math.IsNaN(score) {
				return n, p.fault(fmt.Sprintf("the score of row %d is not a number", i))
			}
			if score < p.scores[lowest] {
				lowest = i
			}
		}
		victim := p.slots[lowest]
		p.name(victim)
		out[n] = victim
		n++
		need -= max(p.table.weight(victim), 1)
	}
	return n, nil
}

// choose writes the candidates for one victim and returns how many: distinct
// residents that are not named yet, the newest first.
func (p *Sampler) choose() int {
	k := 0
	if p.table.live.has(p.newest) && !p.isNamed(p.newest) {
		p.slots[0] = p.newest
		k = 1
	}
	total := p.table.live.total
	if total <= len(p.slots)-1 {
		return p.chooseAll()
	}
next:
	for range 4 * p.options.Sample {
		if k == len(p.slots) {
			break
		}
		s := p.table.live.one(p.rng)
		if p.isNamed(s) {
			continue
		}
		for _, taken := range p.slots[:k] {
			if taken == s {
				continue next
			}
		}
		p.slots[k] = s
		k++
	}
	return k
}

func (p *Sampler) chooseAll() int {
	k := 0
	for _, s := range p.slots[:p.table.live.all(p.slots)] {
		if !p.isNamed(s) {
			p.slots[k] = s
			k++
		}
	}
	return k
}

func (p *Sampler) isNamed(s policies.Slot) bool {
	w := uint(s >> 6)
	return w < uint(len(p.named)) && p.named[w]>>(s&63)&1 != 0
}

func (p *Sampler) name(s policies.Slot) {
	if w := int(s >> 6); w >= len(p.named) {
		p.named = append(p.named, make([]uint64, w+1-len(p.named))...)
	}
	p.named[s>>6] |= 1 << (s & 63)
}

func (p *Sampler) forget(s policies.Slot) {
	if w := uint(s >> 6); w < uint(len(p.named)) {
		p.named[w] &^= 1 << (s & 63)
	}
}

func (p *Sampler) fault(detail string) error {
	info := p.scorer.Info()
	return &policies.Fault{Policy: info.Name, Kind: info.Kind, Reason: policies.FaultOutput, Detail: detail}
}

// ExportState forwards to the scorer.
func (p *Sampler) ExportState(dst []byte) ([]byte, error) {
	if s, ok := p.scorer.(policies.Stateful); ok {
		return s.ExportState(dst)
	}
	return dst, errors.ErrUnsupported
}

// ImportState forwards to the scorer.
func (p *Sampler) ImportState(state []byte) error {
	if s, ok := p.scorer.(policies.Stateful); ok {
		return s.ImportState(state)
	}
	return errors.ErrUnsupported
}

// FuelUsed returns what the scorer used, 0 where it is not metered.
func (p *Sampler) FuelUsed() uint64 {
	if m, ok := p.scorer.(interface{ FuelUsed() uint64 }); ok {
		return m.FuelUsed()
	}
	return 0
}

// Close closes the scorer where it can be closed.
func (p *Sampler) Close() error {
	if c, ok := p.scorer.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// weight returns the weight of an entry as far as the table knows it.
func (t *Table) weight(s policies.Slot) int64 {
	if r := t.records.at(s); r != nil {
		return int64(rest(r.rest.Load()).weight())
	}
	return 0
}
