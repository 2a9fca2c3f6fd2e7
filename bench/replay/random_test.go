package replay_test

import (
	"math/rand/v2"

	"github.com/perfopt/perfopt/bench/replay"
	"github.com/perfopt/perfopt/policies"
)

// random evicts a random resident.
type random struct {
	rng  *rand.Rand
	held []policies.Slot
	at   map[policies.Slot]int // index into held
}

func randomEviction(seed uint64) replay.Candidate {
	return replay.Candidate{Name: "random", New: func(replay.Env) (policies.Orderer, error) {
		return &random{rng: rand.New(rand.NewPCG(seed, 9))}, nil
	}}
}

func (r *random) Info() policies.Info {
	return policies.Info{Name: "random", Kind: policies.KindEviction}
}

func (r *random) Reset(policies.Capacity) error {
	r.held, r.at = nil, map[policies.Slot]int{}
	return nil
}

func (r *random) Observe(events []policies.Event, _ []policies.Insert) error {
	for _, e := range events {
		switch e.Op {
		case policies.OpInsert, policies.OpRestore:
			r.at[e.Slot] = len(r.held)
			r.held = append(r.held, e.Slot)
		case policies.OpRemove, policies.OpExpire:
			r.drop(e.Slot)
		}
	}
	return nil
}

func (r *random) Victims(_ int64, out []policies.Slot) (int, error) {
	if len(r.held) == 0 {
		return 0, nil
	}
	out[0] = r.held[r.rng.IntN(len(r.held))]
	r.drop(out[0])
	return 1, nil
}

func (r *random) drop(s policies.Slot) {
	i, last := r.at[s], len(r.held)-1
	r.held[i] = r.held[last]
	r.at[r.held[i]] = i
	r.held = r.held[:last]
	delete(r.at, s)
}
