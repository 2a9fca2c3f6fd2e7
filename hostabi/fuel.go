package hostabi

// DefaultFuel returns the budgets that hold where [Options].Fuel says nothing.
func DefaultFuel() Fuel { return Fuel{}.withDefaults() }

// Scale returns the budgets of calls in percent of f; those of initialising
// and of host functions stay.
func (f Fuel) Scale(percent int) Fuel {
	for _, budget := range []*int64{&f.Call, &f.Row, &f.RowGo, &f.Max, &f.MaxGo} {
		*budget = max(*budget*int64(percent)/100, 1)
	}
	return f
}
