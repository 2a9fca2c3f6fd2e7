package abi

import "github.com/perfopt/perfopt/policies"

// Column is an input feature that a module asks for by name. Every column is
// an f64 a row.
type Column struct {
	Column policies.Column
	Name   string // the feature name in the manifest
	Unit   string
	Range  string
	Doc    string // what it is, what zero or NaN means
	Since  int    // minor version that added it
}

// Columns returns every column in the order of package policies.
func Columns() []Column {
	doc := [policies.NumColumns]Column{
		policies.ColFreq:       {Unit: "accesses", Range: "0..63", Doc: "accesses known, halved with time"},
		policies.ColRecency:    {Unit: "s", Range: ">= 0", Doc: "time since the last access"},
		policies.ColRateSlow:   {Unit: "accesses/min", Range: ">= 0", Doc: "access rate with a half-life of 10 min"},
		policies.ColRateFast:   {Unit: "accesses/min", Range: ">= 0", Doc: "access rate with a half-life of 1 min"},
		policies.ColTrend:      {Unit: "accesses/min²", Range: "any", Doc: "(fast - slow) / 9; may be negative"},
		policies.ColTimeOfDay:  {Unit: "ratio", Range: "0..1", Doc: "request rate of this hour over that of the busiest hour; 0.5 until a day was seen"},
		policies.ColConfidence: {Unit: "ratio", Range: "0..1", Doc: "n / (n + 4) of n accesses"},
		policies.ColPrediction: {Unit: "probability", Range: "0..1", Doc: "the built-in predictor: that the key is asked again within its horizon"},
		policies.ColSize:       {Unit: "bytes or objects", Range: ">= 0", Doc: "weight of the entry in units of the capacity"},
		policies.ColLoadCost:   {Unit: "ms", Range: ">= 0", Doc: "time that loading took; 0 = unknown"},
		policies.ColAge:        {Unit: "s", Range: ">= 0", Doc: "time since the entry was written"},
		policies.ColTTLLeft:    {Unit: "s", Range: "any", Doc: "time until the entry expires; negative = expired, +Inf = never"},
		policies.ColBaseTTL:    {Unit: "s", Range: ">= 0", Doc: "the origin's freshness, or the default of the route or cache"},
		policies.ColOriginTTL:  {Unit: "s", Range: ">= 0", Doc: "explicit freshness from the origin, an upper bound; NaN = none"},
		policies.ColMinTTL:     {Unit: "s", Range: ">= 0", Doc: "lower bound of the answer"},
		policies.ColMaxTTL:     {Unit: "s", Range: ">= 0", Doc: "upper bound of the answer"},
		policies.ColChanged:    {Unit: "reloads", Range: ">= 0", Doc: "reloads that found the value changed"},
		policies.ColUnchanged:  {Unit: "reloads", Range: ">= 0", Doc: "reloads and validations that found the value unchanged"},
		policies.ColResident:   {Unit: "bool", Range: "0 or 1", Doc: "1 = resident, 0 = recently evicted or missed"},
		policies.ColNextAccess: {Unit: "s", Range: ">= 0", Doc: "time until the next access as predicted from the slow rate; +Inf = unknown"},
	}
	list := make([]Column, 0, len(doc))
	for i, c := range doc {
		c.Column = policies.Column(i)
		c.Name = c.Column.String()
		list = append(list, c)
	}
	return list
}
