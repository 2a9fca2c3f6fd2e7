package linear

import (
	"encoding/binary"
	"fmt"
	"math"
)

// stateSize is the length of the exported state: weights, counts, updates.
const stateSize = ages*rowLength*(4+2) + 4

// ExportState appends what the tables have learnt. Residents and ghosts are
// not part of it.
func (p *Learned) ExportState(dst []byte) ([]byte, error) {
	for age := range ages {
		for c := range rowLength {
			dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(p.model.weights[age][c]))
			dst = binary.LittleEndian.AppendUint16(dst, p.model.learnt[age][c])
		}
	}
	return binary.LittleEndian.AppendUint32(dst, p.model.updates), nil
}

// ImportState takes the tables of another instance.
func (p *Learned) ImportState(state []byte) error {
	if len(state) != stateSize {
		return fmt.Errorf("the state has %d bytes, want %d", len(state), stateSize)
	}
	var m model
	for age := range ages {
		for c := range rowLength {
			w := math.Float32frombits(binary.LittleEndian.Uint32(state))
			if !(w > -curveBound && w < curveBound) {
				return fmt.Errorf("weight %d of row %d is %v, want a number within -%d..%d", c, age, w, curveBound, curveBound)
			}
			m.weights[age][c], m.learnt[age][c] = w, binary.LittleEndian.Uint16(state[4:])
			state = state[6:]
		}
	}
	m.updates = binary.LittleEndian.Uint32(state)
	p.model = m
	p.pool.n = 0
	return nil
}
