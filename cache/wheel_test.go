package cache

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/perfopt/perfopt/policies"
)

// TestWheelNamesWhatIsDue holds the wheel to a map from slots to ticks.
func TestWheelNamesWhatIsDue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w wheel
		due := map[policies.Slot]uint64{}
		now := uint64(0)
		slot := rapid.Uint32Range(0, 10_000)
		ahead := rapid.OneOf(
			rapid.Uint64Range(0, 5_000), rapid.Uint64Range(0, 10_000_000), rapid.Uint64Range(0, neverTick-1),
		)
		t.Repeat(map[string]func(*rapid.T){
			"schedule": func(t *rapid.T) {
				s := policies.Slot(slot.Draw(t, "slot"))
				due[s] = min(now+ahead.Draw(t, "ahead"), neverTick-1)
				w.schedule(s, due[s])
			},
			"remove": func(t *rapid.T) {
				s := policies.Slot(slot.Draw(t, "slot"))
				delete(due, s)
				w.remove(s)
			},
			"advance": func(t *rapid.T) {
				now += rapid.OneOf(rapid.Uint64Range(0, 3_000), rapid.Uint64Range(0, 3_000_000)).Draw(t, "ticks")
				bound := rapid.IntRange(1, 5).Draw(t, "bound")
				for done := false; !done; {
					var out []policies.Slot
					if out, done = w.advance(now, bound, nil); len(out) > bound {
						t.Fatalf("%d slots, bound %d", len(out), bound)
					}
					for _, s := range out {
						switch at, ok := due[s]; {
						case !ok:
							t.Fatalf("slot %d is not scheduled", s)
						case at > now:
							w.schedule(s, at) // it moved down a level
						default:
							delete(due, s)
						}
					}
				}
			},
			"": func(t *rapid.T) {
				if w.count != len(due) {
					t.Fatalf("%d slots in the wheel, want %d", w.count, len(due))
				}
				for s, at := range due {
					if late := 2 << wheelShift; at+uint64(late) <= now {
						t.Fatalf("slot %d, due at %d, is still waiting at %d", s, at, now)
					}
				}
			},
		})
	})
}
