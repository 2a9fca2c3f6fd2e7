package cache

import (
	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/eviction"
	"github.com/perfopt/perfopt/policies/features"
)

// defaultEviction makes the policy of a cache that names none.
func defaultEviction(seed uint64) func(*features.Table) (policies.Orderer, error) {
	return func(*features.Table) (policies.Orderer, error) { return eviction.NewLRU(), nil }
}
