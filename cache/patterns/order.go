package patterns

// order is a Fenwick tree (P. Fenwick, 1994) over the last accesses of the
// sampled keys in the order in which they came, holding the keys' weights: the
// weight of all keys asked for since some access is a sum of logarithmic cost.
// Positions are given out in rising order; when none is left they are
// compacted, which costs a pass over all for as many accesses.
type order struct {
	tree    []int64 // from 1
	weights []int64 // by position; 0: nobody's
	keys    []uint32
	next    uint32 // position to give out
	low     uint32 // no position below it is in use
	sum     int64
}

func newOrder(positions int) order {
	return order{tree: make([]int64, positions+1), weights: make([]int64, positions+1), keys: make([]uint32, positions+1), next: 1, low: 1}
}

func (o *order) full() bool   { return int(o.next) == len(o.tree) }
func (o *order) total() int64 { return o.sum }

func (o *order) add(position uint32, weight int64) {
	o.sum += weight
	for i := position; int(i) < len(o.tree); i += i & -i {
		o.tree[i] += weight
	}
}

// push gives a key the newest position. Weights are at least 1, so that a
// position in use can be told from one that is not.
func (o *order) push(key uint32, weight int64) uint32 {
	p := o.next
	o.next++
	o.keys[p], o.weights[p] = key, max(weight, 1)
	o.add(p, o.weights[p])
	return p
}

func (o *order) remove(position uint32) {
	o.add(position, -o.weights[position])
	o.weights[position] = 0
}

func (o *order) reweigh(position uint32, weight int64) {
	weight = max(weight, 1)
	o.add(position, weight-o.weights[position])
	o.weights[position] = weight
}

// after returns the weight of all positions above one.
func (o *order) after(position uint32) int64 {
	below := int64(0)
	for i := position; i > 0; i -= i & -i {
		below += o.tree[i]
	}
	return o.sum - below
}

// oldest returns the key at the lowest position; there must be one.
func (o *order) oldest() uint32 {
	for o.weights[o.low] == 0 {
		o.low++
	}
	return o.keys[o.low]
}

// compact moves all keys to the lowest positions, in their order.
func (o *order) compact(moved func(key, position uint32)) {
	end := o.next
	o.next, o.low, o.sum = 1, 1, 0
	clear(o.tree)
	for p := uint32(1); p < end; p++ {
		if w := o.weights[p]; w != 0 {
			key := o.keys[p]
			o.weights[p] = 0
			moved(key, o.push(key, w))
		}
	}
}
