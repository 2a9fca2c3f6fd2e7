package conform

import (
	"context"
	"math"
	"path/filepath"
	"testing"

	"github.com/perfopt/perfopt/hostabi"
	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/builtin"
	"github.com/perfopt/perfopt/policies/guard"
)

// The example in Go and the built-in policy name the same victims, in the same
// order, whatever happens to the entries.
func TestExampleNamesTheVictimsOfItsNativeTwin(t *testing.T) {
	m := build(t, newHost(t), filepath.Join("..", "..", "policies", "src", "go"), "./lru")
	wasm, err := m.Eviction(hostabi.Env{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer wasm.(interface{ Close() error }).Close()
	native, err := builtin.Eviction("lru", builtin.Env{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	victims := func(p policies.Orderer) []float64 {
		s := &session{fuel: func() uint64 { return 0 }, budget: m.Budget, health: guard.NewHealth(guard.Options{})}
		q := &questions{session: s, ctx: context.Background()}
		if err := q.order(guard.Eviction(p, s.health)); err != nil || s.faulted != nil {
			t.Fatalf("%s: %v, %v", p.Info().Name, err, s.faulted)
		}
		return s.answers
	}
	got, want := victims(wasm), victims(native)
	if len(want) < 1000 {
		t.Fatalf("only %d victims were asked for", len(want))
	}
	if len(got) != len(want) {
		t.Fatalf("the module named %d victims, its twin %d", len(got), len(want))
	}
	for i := range want {
		if math.Float64bits(got[i]) != math.Float64bits(want[i]) {
			t.Fatalf("victim %d is %v, its twin's %v", i, got[i], want[i])
		}
	}
}
