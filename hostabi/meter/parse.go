package meter

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

// Numbers of the sections.
const (
	sectionCustom    = 0
	sectionType      = 1
	sectionImport    = 2
	sectionFunction  = 3
	sectionTable     = 4
	sectionMemory    = 5
	sectionGlobal    = 6
	sectionExport    = 7
	sectionStart     = 8
	sectionElement   = 9
	sectionCode      = 10
	sectionData      = 11
	sectionDataCount = 12
)

var errComponent = errors.New("this is a component, want a core module: build without the component model (no wit-bindgen, no 'wasm-tools component new')")

// Parse reads a module. What it does not know, it refuses. The module keeps b;
// the caller must not change it.
func Parse(b []byte, limits Limits) (*Module, error) {
	if len(b) > limits.Bytes {
		return nil, fmt.Errorf("module has %d bytes, at most %d are allowed", len(b), limits.Bytes)
	}
	if len(b) < 8 || string(b[:4]) != "\x00asm" {
		return nil, errors.New("not a WebAssembly module: want the bytes 00 61 73 6d at its start")
	}
	switch {
	case string(b[4:8]) == "\x01\x00\x00\x00":
	case b[6] == 1 && b[7] == 0:
		return nil, errComponent
	default:
		return nil, fmt.Errorf("binary format version % x, want 01 00 00 00", b[4:8])
	}
	p := parser{limits: limits, m: &Module{bytes: b}}
	p.r = reader{b: b, pos: 8, end: len(b)}
	p.sections()
	if p.r.err != nil {
		return nil, p.r.err
	}
	return p.m, nil
}

type parser struct {
	limits Limits
	m      *Module
	r      reader
	// declared is the number of functions in the function section, segments
	// the number of data segments in the data count section (-1: none).
	declared int
	segments int64
	elements uint32
	data     bool   // there is a data section
	branches uint64 // blocks and branches of the body being read
	flow     uint64 // locals times branches of all bodies so far
	mutable  []bool
}

// order returns the position of a section in a module.
func order(id byte) int {
	if id == sectionDataCount { // stands between element and code
		return 2*sectionElement + 1
	}
	return 2 * int(id)
}

func (p *parser) sections() {
	p.segments = -1
	last := 0
	outer := p.r
	for outer.more() {
		id := outer.byte()
		size := outer.u32()
		start := outer.pos
		outer.skip(int(min(size, math.MaxInt32)))
		if outer.err != nil {
			break
		}
		s := section{id: id, start: start, end: outer.pos, keep: true}
		p.r = reader{b: outer.b, pos: start, end: s.end}
		if id == sectionCustom {
			s.keep = p.r.name() == "name" && p.functionNames(&s)
			p.r.err = nil // what cannot be read is left out
		} else {
			if id > sectionDataCount {
				p.r.fail("unknown section %d: exceptions and other proposals are not supported", id)
			} else if order(id) <= last {
				p.r.fail("section %d is out of order or there twice", id)
			}
			last = order(id)
			p.section(id)
			if p.r.err == nil && p.r.pos != p.r.end {
				p.r.fail("section %d has %d bytes too many", id, p.r.end-p.r.pos)
			}
		}
		if p.r.err != nil {
			return
		}
		p.m.sections = append(p.m.sections, s)
	}
	p.r = outer
	if p.r.err == nil && p.segments > 0 && !p.data {
		p.r.fail("no data section, the data count section says %d segments", p.segments)
	}
	if p.r.err == nil && len(p.m.bodies) != p.declared {
		p.r.fail("%d functions are declared and %d have a body", p.declared, len(p.m.bodies))
	}
}

// functionNames narrows a name section to the names of functions, with which
// traps are told, and reports whether they can be kept. The rest is left out: a
// name section is no use to us that is worth the trust.
func (p *parser) functionNames(s *section) bool {
	r := &p.r
	for r.more() {
		start := r.pos
		id := r.byte()
		size := r.u32()
		body := r.pos
		r.skip(int(min(size, math.MaxInt32)))
		if r.err != nil || id != 1 {
			continue
		}
		s.start, s.end = start, r.pos
		names := reader{b: r.b, pos: body, end: r.pos}
		for range names.count("names", p.limits.Functions+p.limits.Imports) {
			names.u32()
			names.name()
		}
		return names.err == nil && names.pos == names.end
	}
	return false
}

func (p *parser) section(id byte) {
	r, m := &p.r, p.m
	switch id {
	case sectionType:
		for range r.count("types", p.limits.Types) {
			p.funcType()
		}
	case sectionImport:
		for range r.count("imports", p.limits.Imports) {
			p.importEntry()
		}
	case sectionFunction:
		p.declared = r.count("functions", p.limits.Functions)
		m.Functions = p.declared
		for range p.declared {
			m.functions = append(m.functions, p.typeIndex())
		}
	case sectionTable:
		for range r.count("tables", 16) {
			r.refType()
			if n, _ := r.limits("table"); n > p.limits.TableItems {
				r.fail("table of %d items, at most %d are allowed", n, p.limits.TableItems)
			}
			m.tables++
		}
	case sectionMemory:
		p.memory()
	case sectionGlobal:
		for range r.count("globals", p.limits.Globals) {
			r.valueType()
			if mut := r.byte(); mut > 1 {
				r.fail("global with mutability %d", mut)
			} else {
				p.mutable = append(p.mutable, mut == 1)
			}
			p.constant()
			m.globals++
		}
	case sectionExport:
		p.exports()
	case sectionStart:
		m.HasStart, m.start = true, p.functionIndex()
		if t := p.m.functionType(m.start); r.err == nil && len(t.Params)+len(t.Results) > 0 {
			r.fail("the start function has parameters or results")
		}
	case sectionElement:
		for range r.count("element segments", p.limits.Segments) {
			p.element()
			p.elements++
		}
	case sectionDataCount:
		p.segments = int64(r.u32())
	case sectionCode:
		n := r.count("bodies", p.limits.Functions)
		if n != p.declared {
			r.fail("%d bodies for %d functions", n, p.declared)
		}
		for i := 0; i < n && r.err == nil; i++ {
			p.body(m.types[m.functions[len(m.Imports)+i]])
		}
	case sectionData:
		p.data = true
		n := r.count("data segments", p.limits.Segments)
		if p.segments >= 0 && int64(n) != p.segments {
			r.fail("%d data segments, the data count section says %d", n, p.segments)
		}
		for range n {
			p.dataSegment()
		}
	}
}

func (p *parser) funcType() {
	r := &p.r
	if form := r.byte(); form != 0x60 {
		r.fail("type of form %#x: only function types are supported", form)
		return
	}
	var t FuncType
	for range r.count("parameters", 256) {
		t.Params = append(t.Params, r.valueType())
	}
	for range r.count("results", 256) {
		t.Results = append(t.Results, r.valueType())
	}
	p.m.types = append(p.m.types, t)
}

func (p *parser) typeIndex() uint32 {
	i := p.r.u32()
	if p.r.err == nil && int64(i) >= int64(len(p.m.types)) {
		p.r.fail("type %d of %d", i, len(p.m.types))
	}
	return i
}

// functionType returns the type of a function, none where there is no such.
func (m *Module) functionType(i uint32) FuncType {
	if int64(i) >= int64(len(m.functions)) {
		return FuncType{}
	}
	return m.types[m.functions[i]]
}

func (p *parser) functionIndex() uint32 {
	i := p.r.u32()
	if p.r.err == nil && int64(i) >= int64(len(p.m.functions)) {
		p.r.fail("function %d of %d", i, len(p.m.functions))
	}
	return i
}

func (p *parser) importEntry() {
	r := &p.r
	module, name := r.name(), r.name()
	p.reserved("import", name)
	kind := ExternKind(r.byte())
	if r.err != nil {
		return
	}
	if kind != ExternFunc {
		r.fail("import %q %q is a %s: only functions can be imported, a module brings its own memory, tables and globals", module, name, kind)
		return
	}
	t := p.typeIndex()
	if r.err != nil {
		return
	}
	p.m.functions = append(p.m.functions, t)
	p.m.Imports = append(p.m.Imports, Import{Module: module, Name: name, Type: p.m.types[t]})
}

func (p *parser) reserved(what, name string) {
	if strings.HasPrefix(name, reservedPrefix) {
		p.r.fail("%s %q: names with the prefix %q are reserved for the host", what, name, reservedPrefix)
	}
}

func (p *parser) memory() {
	r, m := &p.r, p.m
	for range r.count("memories", 1) {
		low, high := r.limits("memory")
		if r.err != nil {
			return
		}
		if low > p.limits.MemoryPages {
			r.fail("memory of %d pages, at most %d are allowed", low, p.limits.MemoryPages)
		}
		if high > 65536 {
			r.fail("memory with a maximum of %d pages, a 32-bit memory has at most 65536", high)
		}
		m.HasMemory, m.MemoryMin, m.MemoryMax = true, low, uint32(max(high, 0))
	}
}

func (p *parser) exports() {
	r, m := &p.r, p.m
	for range r.count("exports", p.limits.Exports) {
		e := Export{Name: r.name(), Kind: ExternKind(r.byte())}
		p.reserved("export", e.Name)
		if r.err != nil {
			return
		}
		bound := uint32(0)
		switch e.Kind {
		case ExternFunc:
			e.Type = m.functionType(p.functionIndex())
			m.Exports = append(m.Exports, e)
			continue
		case ExternTable:
			bound = m.tables
		case ExternMemory:
			if m.HasMemory {
				bound = 1
			}
		case ExternGlobal:
			bound = m.globals
		default:
			r.fail("export %q of unknown kind %d", e.Name, byte(e.Kind))
		}
		if i := r.u32(); r.err == nil && i >= bound {
			r.fail("export %q is %s %d of %d", e.Name, e.Kind, i, bound)
		}
		m.Exports = append(m.Exports, e)
	}
}

// constant reads a constant expression.
func (p *parser) constant() {
	r := &p.r
	for r.err == nil {
		switch op := r.byte(); op {
		case opEnd:
			return
		case 0x41:
			r.signed(32)
		case 0x42:
			r.signed(64)
		case 0x43:
			r.skip(4)
		case 0x44:
			r.skip(8)
		case 0x23:
			if i := r.u32(); r.err == nil && i >= p.m.globals {
				r.fail("global %d of %d", i, p.m.globals)
			}
		case 0xD0:
			r.refType()
		case 0xD2:
			p.functionIndex()
		case opVector:
			if sub := r.u32(); sub != 12 {
				r.fail("vector instruction %d in a constant expression", sub)
			}
			r.skip(16)
		default:
			r.fail("instruction %#x in a constant expression", op)
		}
	}
}

func (p *parser) tableIndex() {
	if i := p.r.u32(); p.r.err == nil && i >= p.m.tables {
		p.r.fail("table %d of %d", i, p.m.tables)
	}
}

func (p *parser) element() {
	r := &p.r
	flags := r.u32()
	if flags > 7 {
		r.fail("element segment of form %d", flags)
		return
	}
	passive, explicit, expressions := flags&1 != 0, flags&2 != 0, flags&4 != 0
	if !passive {
		if explicit {
			p.tableIndex()
		} else if p.m.tables == 0 {
			r.fail("element segment without a table")
		}
		p.constant()
	}
	if passive || explicit {
		if expressions {
			r.refType()
		} else if kind := r.byte(); kind != 0 {
			r.fail("element kind %d", kind)
		}
	}
	for range r.count("elements", p.limits.Bytes) {
		if expressions {
			p.constant()
		} else {
			p.functionIndex()
		}
		if r.err != nil {
			return
		}
	}
}

func (p *parser) dataSegment() {
	r := &p.r
	switch flags := r.u32(); flags {
	case 0:
		p.constant()
	case 1:
	case 2:
		if i := r.u32(); i != 0 {
			r.fail("memory %d: one memory is supported", i)
		}
		p.constant()
	default:
		r.fail("data segment of form %d", flags)
	}
	r.skip(int(min(r.u32(), math.MaxInt32)))
}
