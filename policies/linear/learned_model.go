package linear

import "math"

// The columns of a row of the model: one row an age class, one column a class
// of another feature.
const (
	columnCount = 0
	columnGap   = 8
	columnFirst = 24 // the gap before
	columnHits  = 40
	columnFresh = 48
	rowLength   = 64
)

// model is the logistic model: a bias and five tables of age by another
// feature, side by side, so that a prediction reads one row.
type model struct {
	weights [32][rowLength]float32
	learnt  [32][rowLength]uint16 // how often each was trained, saturated
	updates uint32                // samples learnt
}

// Where the model starts: near LRU with a bonus for what is asked for often.
const (
	bias       = -0.5
	startCount = 0.2
	startAge   = -0.15
)

func (m *model) reset() {
	*m = model{}
	for age := range m.weights[:ages] {
		for count := range columnGap {
			m.weights[age][count] = startCount*float32(count) + startAge*float32(age)
		}
	}
}

// columns returns the row of an observation and the columns of its classes.
func (o observation) columns() (age, count, gap, first, hits, fresh uint32) {
	u := uint32(o)
	return u & 31, u >> 5 & 7, columnGap + u>>8&15, columnFirst + u>>12&15, columnHits + u>>16&7, columnFresh + u>>19&15
}

// predict returns the logit of the expected nearness of the next access.
func (m *model) predict(o observation) float32 {
	age, count, gap, first, hits, fresh := o.columns()
	row := &m.weights[age&31]
	return bias + row[count&63] + row[gap&63] + row[first&63] + row[hits&63] + row[fresh&63]
}

// The rate of a weight falls with the number of its updates from rateStart to
// rateFloor.
const (
	rateStart = 0.3
	rateSpan  = 20
	rateFloor = 0.003
)

// train moves the model towards a target in 0..1.
func (m *model) train(o observation, target float32) {
	err := target - sigmoid(m.predict(o))
	age, count, gap, first, hits, fresh := o.columns()
	row, learnt := &m.weights[age&31], &m.learnt[age&31]
	for _, c := range [...]uint32{count, gap, first, hits, fresh} {
		n := learnt[c&63]
		rate := max(rateFloor, rateStart*rateSpan/(rateSpan+float32(n)))
		if n < math.MaxUint16 {
			learnt[c&63] = n + 1
		}
		row[c&63] += float32(rate * err)
	}
	if m.updates < math.MaxUint32 {
		m.updates++
	}
}

// The sigmoid and its logarithm are tables over -16..16 with straight lines
// between, so that every machine computes the same.
const (
	curveBound = 16
	curveSteps = 32 // per unit
)

type curve [2*curveBound*curveSteps + 2]float32

func makeCurve(f func(z float64) float64) *curve {
	c := new(curve)
	for i := range c {
		c[i] = float32(f(float64(i)/curveSteps - curveBound))
	}
	return c
}

var (
	sigmoids   = makeCurve(func(z float64) float64 { return 1 / (1 + math.Exp(-z)) })
	lnSigmoids = makeCurve(func(z float64) float64 { return -math.Log1p(math.Exp(-z)) })
)

func (c *curve) value(z float32) float32 {
	x := (min(max(z, -curveBound), curveBound) + curveBound) * curveSteps
	i := int32(x)
	return c[i] + float32((x-float32(i))*(c[i+1]-c[i]))
}

func sigmoid(z float32) float32   { return sigmoids.value(z) }
func lnSigmoid(z float32) float32 { return lnSigmoids.value(z) }
