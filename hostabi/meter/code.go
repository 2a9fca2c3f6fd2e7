package meter

// Instructions that the reader treats by name; all others are told by their
// immediates.
const (
	opBlock   = 0x02
	opLoop    = 0x03
	opIf      = 0x04
	opElse    = 0x05
	opEnd     = 0x0B
	opMisc    = 0xFC
	opVector  = 0xFD
	opThreads = 0xFE
)

// Weights. One unit is about the work of an addition; a tight loop of them
// runs at roughly ten units a nanosecond.
const (
	weightEntry    = 100    // calling a function; bounds recursion
	weightLocals   = 4      // one unit for so many locals: a frame's size
	weightTurn     = 2      // a turn of a loop, beside its body
	weightMemory   = 3      // loads and stores, which may miss the processor's caches
	weightDivision = 8      // integer division, floating-point division and square root
	weightVector   = 16     // the same for vectors
	weightIndirect = 8      // call_indirect's checks
	weightGrow     = 10_000 // memory.grow and table.grow, which may move what is there
)

type frame struct {
	op     byte
	region int // index into weights: which entry or loop pays
}

// body reads one function of type t.
func (p *parser) body(t FuncType) {
	r := &p.r
	size := r.u32()
	if r.err != nil {
		return
	}
	if int64(size) > int64(p.limits.BodyBytes) || int64(size) > int64(r.end-r.pos) {
		r.fail("body of %d bytes, at most %d are allowed", size, min(p.limits.BodyBytes, r.end-r.pos))
		return
	}
	section := r.end
	r.end = r.pos + int(size)
	b := body{start: r.pos, end: r.end, locals: uint32(len(t.Params))}
	b.groups = uint32(r.count("groups of locals", int(p.limits.Locals)))
	for range b.groups {
		n := r.u32()
		r.valueType()
		if r.err != nil {
			return
		}
		if n > p.limits.Locals || b.locals+n > p.limits.Locals {
			r.fail("more than %d locals", p.limits.Locals)
			return
		}
		b.locals += n
	}
	b.code = r.pos
	p.code(&b)
	if r.err == nil && r.pos != r.end {
		r.fail("code behind the end of the function")
	}
	r.end = section
	p.m.bodies = append(p.m.bodies, b)
}

// code reads the instructions of a body, sums their weights by region and
// notes where charges go.
func (p *parser) code(b *body) {
	r := &p.r
	weights := []uint32{weightEntry + b.locals/weightLocals}
	loops := []int{-1} // region -> index in b.points
	stack := []frame{{op: opBlock}}
	region := 0
	p.branches = 0
	for r.err == nil && len(stack) > 0 {
		at := r.pos
		op := r.byte()
		switch op {
		case opBlock, opLoop, opIf:
			p.blockType()
			if len(stack) >= p.limits.Nesting {
				r.fail("blocks nested deeper than %d", p.limits.Nesting)
				return
			}
			stack = append(stack, frame{op: op, region: region})
			p.branches++
			if op == opLoop {
				region = len(weights)
				weights = append(weights, weightTurn)
				loops = append(loops, len(b.points))
				b.points = append(b.points, point{at: r.pos, kind: pointLoop})
			} else if op == opIf {
				weights[region]++
			}
		case opElse:
			if top := &stack[len(stack)-1]; top.op != opIf {
				r.fail("else without if")
			} else {
				top.op = opElse
			}
		case opEnd:
			region = stack[len(stack)-1].region
			stack = stack[:len(stack)-1]
		case opMisc:
			weights[region] += p.misc(b, at)
		case opVector:
			weights[region] += p.vector()
		default:
			weights[region] += p.plain(op, b, at, len(stack))
		}
	}
	if r.err != nil {
		return
	}
	flow := p.branches * uint64(b.locals)
	if p.flow += flow; flow > p.limits.Flow || p.flow > p.limits.FlowTotal {
		r.fail("%d locals and %d blocks and branches: their product may be at most %d, and %d in all functions", b.locals, p.branches, p.limits.Flow, p.limits.FlowTotal)
		return
	}
	b.entry = weights[0]
	for i, w := range weights[1:] {
		b.points[loops[i+1]].weight = w
	}
}

func (p *parser) blockType() {
	r := &p.r
	if r.pos >= r.end {
		r.fail("unexpected end")
		return
	}
	switch c := r.b[r.pos]; {
	case c == 0x40 || ValueType(c).String() != "unknown":
		r.pos++
	default:
		if i := r.signed(33); r.err == nil && (i < 0 || i >= int64(len(p.m.types))) {
			r.fail("block type %d of %d", i, len(p.m.types))
		}
	}
}

// plain reads the immediates of an instruction of one byte and returns its
// weight. depth is the number of labels in scope.
func (p *parser) plain(op byte, b *body, at, depth int) uint32 {
	r := &p.r
	switch {
	case op == 0x01: // nop
		return 0
	case op == 0x00 || op == 0x0F || op == 0x1A || op == 0x1B || op == 0xD1: // unreachable return drop select ref.is_null
	case op == 0x0C || op == 0x0D: // br br_if
		p.label(depth)
	case op == 0x0E:
		n := r.u32()
		if n > p.limits.BranchTable {
			r.fail("br_table with %d targets, at most %d are allowed", n, p.limits.BranchTable)
		}
		for range n {
			if p.label(depth); r.err != nil {
				return 0
			}
		}
		p.label(depth)
		return 4
	case op == 0x10: // call
		p.functionIndex()
		return 2
	case op == 0x11: // call_indirect
		p.typeIndex()
		p.tableIndex()
		return weightIndirect
	case op == 0x1C: // select with types
		for range r.count("types of a select", 1) {
			r.valueType()
		}
	case op >= 0x20 && op <= 0x22: // local.get local.set local.tee
		if i := r.u32(); r.err == nil && i >= b.locals {
			r.fail("local %d of %d", i, b.locals)
		}
	case op == 0x23 || op == 0x24: // global.get global.set
		i := r.u32()
		if r.err == nil && i >= p.m.globals {
			r.fail("global %d of %d", i, p.m.globals)
		} else if r.err == nil && op == 0x24 && !p.mutable[i] {
			r.fail("global %d is not mutable", i)
		}
	case op == 0x25 || op == 0x26: // table.get table.set
		p.tableIndex()
		return weightMemory
	case op >= 0x28 && op <= 0x3E: // loads and stores
		p.memoryArgument()
		return weightMemory
	case op == 0x3F: // memory.size
		p.zero()
	case op == 0x40: // memory.grow
		p.zero()
		b.points = append(b.points, point{at: at, kind: pointGrow})
		b.scratch = true
		return weightGrow
	case op == 0x41:
		r.signed(32)
	case op == 0x42:
		r.signed(64)
	case op == 0x43:
		r.skip(4)
	case op == 0x44:
		r.skip(8)
	case op >= 0x6D && op <= 0x70, op >= 0x7F && op <= 0x82, op == 0x91, op == 0x95, op == 0x9F, op == 0xA3:
		return weightDivision
	case op >= 0x45 && op <= 0xC4: // comparisons, arithmetic, conversions
	case op == 0xD0: // ref.null
		r.refType()
	case op == 0xD2: // ref.func
		p.functionIndex()
	default:
		p.refuse(op)
	}
	return 1
}

// refuse names the proposal that an instruction belongs to.
func (p *parser) refuse(op byte) {
	proposal := "unknown"
	switch {
	case op == 0x12 || op == 0x13:
		proposal = "tail calls are not supported:"
	case op >= 0x06 && op <= 0x0A || op == 0x18 || op == 0x19 || op == 0x1F:
		proposal = "exceptions are not supported:"
	case op == opThreads:
		proposal = "threads are not supported:"
	case op == 0x14 || op == 0x15 || op >= 0xD3 && op <= 0xD6 || op == 0xFB:
		proposal = "typed references and garbage collection are not supported:"
	}
	p.r.pos--
	p.r.fail("%s instruction %#x", proposal, op)
}

func (p *parser) label(depth int) {
	p.branches++
	if i := p.r.u32(); p.r.err == nil && int64(i) >= int64(depth) {
		p.r.fail("branch to label %d of %d", i, depth)
	}
}

func (p *parser) zero() {
	if c := p.r.byte(); p.r.err == nil && c != 0 {
		p.r.fail("memory %d: one memory is supported", c)
	}
}

func (p *parser) memoryArgument() {
	if align := p.r.u32(); p.r.err == nil && align > 4 {
		p.r.fail("alignment 2^%d: one 32-bit memory is supported", align)
	}
	p.r.u32()
}

// misc reads the instructions with prefix 0xFC: saturating conversions and
// bulk operations.
func (p *parser) misc(b *body, at int) uint32 {
	r := &p.r
	bulk := func(kind pointKind, shift uint32) {
		b.points = append(b.points, point{at: at, kind: kind, weight: shift})
		b.scratch = true
	}
	switch sub := r.u32(); {
	case sub <= 7: // trunc_sat
	case sub == 8: // memory.init
		p.dataIndex()
		p.zero()
		bulk(pointBulk, 3)
	case sub == 9: // data.drop
		p.dataIndex()
	case sub == 10: // memory.copy
		p.zero()
		p.zero()
		bulk(pointBulk, 3)
	case sub == 11: // memory.fill
		p.zero()
		bulk(pointBulk, 3)
	case sub == 12: // table.init
		p.elementIndex()
		p.tableIndex()
		bulk(pointBulk, 0)
	case sub == 13: // elem.drop
		p.elementIndex()
	case sub == 14: // table.copy
		p.tableIndex()
		p.tableIndex()
		bulk(pointBulk, 0)
	case sub == 15: // table.grow
		p.tableIndex()
		bulk(pointGrowTable, 0)
		return weightGrow
	case sub == 16: // table.size
		p.tableIndex()
	case sub == 17: // table.fill
		p.tableIndex()
		bulk(pointBulk, 0)
	default:
		r.fail("unknown instruction 0xfc %d", sub)
	}
	return 2
}

func (p *parser) dataIndex() {
	if i := p.r.u32(); p.r.err == nil && int64(i) >= p.segments {
		p.r.fail("data segment %d of %d", i, max(p.segments, 0))
	}
}

func (p *parser) elementIndex() {
	if i := p.r.u32(); p.r.err == nil && i >= p.elements {
		p.r.fail("element segment %d of %d", i, p.elements)
	}
}

// vector reads the instructions with prefix 0xFD.
func (p *parser) vector() uint32 {
	r := &p.r
	switch sub := r.u32(); {
	case sub <= 11 || sub == 92 || sub == 93: // loads and stores
		p.memoryArgument()
		return weightMemory
	case sub == 12 || sub == 13: // v128.const i8x16.shuffle
		r.skip(16)
		return 2
	case sub >= 21 && sub <= 34: // extract_lane replace_lane
		r.skip(1)
	case sub >= 84 && sub <= 91: // loads and stores of a lane
		p.memoryArgument()
		r.skip(1)
		return weightMemory + 1
	case sub == 227 || sub == 231 || sub == 239 || sub == 243: // sqrt div
		return weightVector
	case sub > 255:
		r.fail("unknown vector instruction %d: relaxed vector instructions are not supported", sub)
	case undefinedVector(sub):
		r.fail("unknown vector instruction %d", sub)
	}
	return 2
}

// undefinedVector reports the holes in the numbering of vector instructions.
func undefinedVector(sub uint32) bool {
	switch sub {
	case 154, 162, 165, 166, 175, 176, 178, 179, 180, 187, 194, 197, 198, 207, 208, 210, 211, 212, 226, 238:
		return true
	}
	return false
}
