package meter

import "encoding/binary"

// Rewrite returns the metered module. Custom sections other than the names of
// functions are left out, and the start function becomes an export.
func (m *Module) Rewrite() []byte {
	out := make([]byte, 0, len(m.bytes)+len(m.bytes)/4+256)
	out = append(out, m.bytes[:8]...)
	globals, exports := false, false
	for _, s := range m.sections {
		if s.id != sectionCustom {
			// A section that is missing goes where it would stand.
			if !globals && order(s.id) > order(sectionGlobal) {
				out, globals = m.globalSection(out, section{}), true
			}
			if !exports && order(s.id) > order(sectionExport) {
				out, exports = m.exportSection(out, section{}), true
			}
		}
		switch {
		case s.id == sectionGlobal:
			out, globals = m.globalSection(out, s), true
		case s.id == sectionExport:
			out, exports = m.exportSection(out, s), true
		case s.id == sectionStart: // is an export now
		case s.id == sectionCode:
			out = m.codeSection(out)
		case s.id == sectionCustom && s.keep:
			out = appendSection(out, s.id, append([]byte("\x04name"), m.bytes[s.start:s.end]...))
		case s.keep:
			out = appendSection(out, s.id, m.bytes[s.start:s.end])
		}
	}
	if !globals {
		out = m.globalSection(out, section{})
	}
	if !exports {
		out = m.exportSection(out, section{})
	}
	return out
}

func appendSection(out []byte, id byte, payload []byte) []byte {
	out = append(out, id)
	out = binary.AppendUvarint(out, uint64(len(payload)))
	return append(out, payload...)
}

// items returns the items of a vector that is the whole of a section.
func (m *Module) items(s section) (count uint32, items []byte) {
	if s.end == 0 {
		return 0, nil
	}
	r := reader{b: m.bytes, pos: s.start, end: s.end}
	count = r.u32()
	return count, m.bytes[r.pos:s.end]
}

func (m *Module) globalSection(out []byte, s section) []byte {
	count, items := m.items(s)
	payload := binary.AppendUvarint(nil, uint64(count)+2)
	payload = append(payload, items...)
	for range 2 { // mutable i64 with the initial value 0
		payload = append(payload, byte(I64), 1, 0x42, 0, opEnd)
	}
	return appendSection(out, sectionGlobal, payload)
}

func (m *Module) exportSection(out []byte, s section) []byte {
	count, items := m.items(s)
	added := uint64(2)
	if m.HasStart {
		added++
	}
	payload := binary.AppendUvarint(nil, uint64(count)+added)
	payload = append(payload, items...)
	export := func(name string, kind ExternKind, index uint64) {
		payload = binary.AppendUvarint(payload, uint64(len(name)))
		payload = append(payload, name...)
		payload = append(payload, byte(kind))
		payload = binary.AppendUvarint(payload, index)
	}
	export(FuelGlobal, ExternGlobal, uint64(m.globals))
	export(PagesGlobal, ExternGlobal, uint64(m.globals)+1)
	if m.HasStart {
		export(StartFunction, ExternFunc, uint64(m.start))
	}
	return appendSection(out, sectionExport, payload)
}

func (m *Module) codeSection(out []byte) []byte {
	payload := binary.AppendUvarint(nil, uint64(len(m.bodies)))
	var one []byte
	for i := range m.bodies {
		one = m.appendBody(one[:0], &m.bodies[i])
		payload = binary.AppendUvarint(payload, uint64(len(one)))
		payload = append(payload, one...)
	}
	return appendSection(out, sectionCode, payload)
}

func (m *Module) appendBody(out []byte, b *body) []byte {
	// The declaration of locals gets a group of one i64 and, where a bulk
	// operation needs it, a group of one i32.
	groups := uint64(b.groups) + 1
	if b.scratch {
		groups++
	}
	r := reader{b: m.bytes, pos: b.start, end: b.end}
	r.u32()
	out = binary.AppendUvarint(out, groups)
	out = append(out, m.bytes[r.pos:b.code]...)
	out = append(out, 1, byte(I64))
	if b.scratch {
		out = append(out, 1, byte(I32))
	}
	c := charger{fuel: m.globals, left: b.locals, length: b.locals + 1}
	out = c.static(out, b.entry)
	pos := b.code
	for _, p := range b.points {
		out = append(out, m.bytes[pos:p.at]...)
		pos = p.at
		switch p.kind {
		case pointLoop:
			out = c.static(out, p.weight)
		case pointBulk:
			out = c.bulk(out, c.fuel, shiftRight(p.weight))
		case pointGrow:
			out = c.bulk(out, c.fuel+1, nil)
			out = c.bulk(out, c.fuel, shiftLeft(8))
		case pointGrowTable:
			out = c.bulk(out, c.fuel+1, append(shiftRight(13), 0x42, 1, 0x7C)) // and one more
			out = c.bulk(out, c.fuel, shiftLeft(6))
		}
	}
	return append(out, m.bytes[pos:b.end]...)
}

func shiftRight(bits uint32) []byte { return []byte{0x42, byte(bits), 0x88} }
func shiftLeft(bits uint32) []byte  { return []byte{0x42, byte(bits), 0x86} }

// charger appends the instructions of a charge. Each leaves the operand stack
// as it was.
type charger struct {
	fuel   uint32 // the fuel counter; the allowance of pages is the next global
	left   uint32 // local i64
	length uint32 // local i32
}

// static charges fuel by a number known now.
func (c charger) static(out []byte, weight uint32) []byte {
	out = c.index(out, 0x23, c.fuel)
	out = appendSigned(append(out, 0x42), int64(weight))
	return c.settle(out, c.fuel)
}

// bulk charges a counter by the i32 on top of the stack, turned by the
// instructions of scale.
func (c charger) bulk(out []byte, counter uint32, scale []byte) []byte {
	out = c.index(out, 0x21, c.length)
	out = c.index(out, 0x23, counter)
	out = c.index(out, 0x20, c.length)
	out = append(out, 0xAD) // i64.extend_i32_u
	out = c.settle(append(out, scale...), counter)
	return c.index(out, 0x20, c.length)
}

// settle subtracts, stores and traps below zero.
func (c charger) settle(out []byte, counter uint32) []byte {
	out = append(out, 0x7D) // i64.sub
	out = c.index(out, 0x22, c.left)
	out = c.index(out, 0x24, counter)
	out = c.index(out, 0x20, c.left)
	return append(out, 0x42, 0, 0x53, opIf, 0x40, 0x00, opEnd) // < 0: unreachable
}

func (c charger) index(out []byte, op byte, i uint32) []byte {
	return binary.AppendUvarint(append(out, op), uint64(i))
}

func appendSigned(out []byte, v int64) []byte {
	for {
		c := byte(v & 0x7F)
		v >>= 7
		if (v == 0 && c&0x40 == 0) || (v == -1 && c&0x40 != 0) {
			return append(out, c)
		}
		out = append(out, c|0x80)
	}
}
