package replay

import (
	"github.com/perfopt/perfopt/hostabi/ref"
	"github.com/perfopt/perfopt/policies"
)

// FromRef returns the candidate behind an opened reference, named as it was
// referred to. Each cache has an instance of its own. The caller closes l after
// the replay.
func FromRef(l *ref.Loaded) Candidate {
	return Candidate{Name: l.Ref(), New: func(env Env) (policies.Orderer, error) {
		return l.Eviction(ref.Env{Features: env.Features, Seed: env.Seed, Now: env.Now, Replay: true})
	}}
}
