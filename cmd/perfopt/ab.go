package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/perfopt/perfopt/bench/replay"
	"github.com/perfopt/perfopt/bench/stats"
	"github.com/perfopt/perfopt/bench/trace"
	"github.com/perfopt/perfopt/internal/terminal"
)

const abReplayUsage = `ab replay --trace FILE --capacity N --a P --b P

Replays a trace under two policies side by side and says which misses less: on
this trace, which is exact, and on other stretches of such traffic, which is
inferred from ten batches of it. See docs/guides/ab-replay.md.

Exit code 0 means improved, regressed or equivalent; 3 means inconclusive, and
the answer says why and how small a change could have been seen.

  perfopt ab replay --trace sample --capacity 100 --a builtin:lru --b builtin:s3fifo`

func abReplayCommand(ctx context.Context, e *env, args []string) int {
	fs := e.flags().withJSON()
	var shared replayFlags
	shared.add(fs)
	a := fs.String("a", "", "policy reference (`P`) of the control")
	b := fs.String("b", "", "policy reference (`P`) of the candidate")
	marginText := fs.String("margin", fmt.Sprintf("%g%%", 100*replay.DefaultMargin), "relative change of the misses that does not matter (`M`)")
	if _, code, ok := fs.parse(args, 0, 0); !ok {
		return code
	}
	capacities, err := shared.check()
	margin, marginErr := parsePercent(*marginText)
	err = errors.Join(err, marginErr)
	if len(capacities) > 1 || len(shared.traces) > 1 {
		err = errors.Join(err, errors.New("ab replay compares on one trace at one capacity"))
	}
	if *a == "" || *b == "" {
		err = errors.Join(err, errors.New("--a and --b are both needed: name two policies, such as builtin:lru and builtin:s3fifo"))
	}
	if err != nil {
		return e.wrong(err)
	}
	candidates, done, err := e.openCandidates(ctx, []string{*a, *b})
	if err != nil {
		return e.wrong(err)
	}
	defer done()
	c, err := e.compare(ctx, &shared, candidates, capacities[0], margin)
	if err != nil {
		return e.wrong(err)
	}
	if e.json {
		e.printJSON(c)
	} else {
		e.printComparison(c)
	}
	if c.Beyond.Verdict == stats.Inconclusive {
		return exitInconclusive
	}
	return exitOK
}

func (e *env) compare(ctx context.Context, f *replayFlags, c []replay.Candidate, capacity replay.Capacity, margin float64) (*replay.Comparison, error) {
	r, err := trace.Open(f.traces[0], f.format)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	p := terminal.Start(e.stderr, terminal.IsTerminal(e.stderr), "replaying "+r.Name())
	defer p.Stop()
	return replay.Compare(ctx, replay.CompareOptions{
		Source: r, A: c[0], B: c[1], Capacity: capacity, Rate: f.rate, Margin: margin,
		Progress: func(requests int64) { p.Set(requests, 0) },
	})
}

// printComparison prints the verdict first, then what it rests on.
func (e *env) printComparison(c *replay.Comparison) {
	capacity := replay.Capacity{Amount: c.Capacity, Bytes: c.Unit == "bytes"}
	e.printf("%s: %s\n\n", strings.ToUpper(string(c.Beyond.Verdict)), headline(c))
	var t terminal.Table
	t.Row("", "policy", "misses", "miss ratio", "seconds", "calls", "faults")
	for i, r := range []replay.Result{c.A, c.B} {
		t.Row(string(rune('A'+i)), r.Policy, terminal.Count(r.Misses), fmt.Sprintf("%.4f", r.MissRatio),
			fmt.Sprintf("%.2f", r.Seconds), terminal.Count(int64(r.Calls)), terminal.Count(int64(r.Faults)))
	}
	t.Print(e.stdout)
	e.printf("\non this trace (exact): %s, %s requests, capacity %s: B %s\n",
		c.Trace, terminal.Count(c.A.Requests), capacity, onTrace(c.OnTrace))
	i := &c.Beyond
	e.printf("beyond it (inferred):  ")
	if i.Relative == nil {
		e.printf("nothing can be said\n")
		return
	}
	e.printf("misses %s [%s, %s] at %.0f %%, %d batches of %s requests, %.1f turnovers each; would have seen %.1f %%\n",
		percent(i.Relative.Estimate), percent(i.Relative.Low), percent(i.Relative.High), 100*i.Level,
		i.Batches, terminal.Count(i.BatchRequests), i.BatchTurnovers, 100**i.Visible)
}

// headline says the verdict in a sentence.
func headline(c *replay.Comparison) string {
	i := &c.Beyond
	switch i.Verdict {
	case stats.Improved, stats.Regressed:
		word := "less"
		if i.Verdict == stats.Regressed {
			word = "more"
		}
		return fmt.Sprintf("%s misses %.1f %% %s than %s [%s, %s]", c.B.Policy,
			100*math.Abs(i.Relative.Estimate), word, c.A.Policy, percent(i.Relative.Low), percent(i.Relative.High))
	case stats.Equivalent:
		return fmt.Sprintf("%s and %s miss the same within +-%.1f %%", c.A.Policy, c.B.Policy, 100*i.Margin)
	}
	return i.Reason
}

func onTrace(d replay.Difference) string {
	if d.Misses == 0 {
		return "misses exactly as often as A"
	}
	word, n := "more", d.Misses
	if n < 0 {
		word, n = "fewer", -n
	}
	text := fmt.Sprintf("has %s %s misses", terminal.Count(n), word)
	if d.Relative != nil {
		text += fmt.Sprintf(" (%s)", percent(*d.Relative))
	}
	return text + fmt.Sprintf(", miss ratio %+.4f", d.MissRatio)
}

// parsePercent reads "1%", "0.5 %" or a share such as "0.01".
func parsePercent(s string) (float64, error) {
	text, isPercent := strings.CutSuffix(strings.TrimSpace(s), "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if isPercent {
		v /= 100
	}
	if err != nil || !(v >= 0 && v < 1) {
		return 0, fmt.Errorf("--margin %q: want a percentage from 0%% to below 100%%", s)
	}
	return v, nil
}
