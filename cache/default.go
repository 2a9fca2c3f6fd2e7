package cache

import (
	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/features"
	"github.com/perfopt/perfopt/policies/linear"
)

// defaultEviction makes the policy of a cache that names none.
func defaultEviction(seed uint64) func(*features.Table) (policies.Orderer, error) {
	return func(t *features.Table) (policies.Orderer, error) {
		return linear.NewEviction(t, linear.EvictionOptions{}, seed)
	}
}
