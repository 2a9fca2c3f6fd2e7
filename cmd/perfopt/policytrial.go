package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/perfopt/perfopt/bench/replay"
	"github.com/perfopt/perfopt/bench/trace"
	"github.com/perfopt/perfopt/hostabi"
	"github.com/perfopt/perfopt/hostabi/ref"
	"github.com/perfopt/perfopt/internal/terminal"
	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/sdk/conform"
)

const policyTestUsage = `policy test FILE.wasm

Checks a policy module as a daemon would run it, in the sandbox: its interface, a
trial on made-up inputs, that its answers are in bounds and the same for the same
inputs, and the fuel of a decision. An eviction policy is also replayed over the
built-in sample trace, beside builtin:lru. Exit code 1 means that it failed.`

// sampleCapacity is room for about a tenth of the sample's objects.
const sampleCapacity = 1000

// testResult is what "policy test" found.
type testResult struct {
	File    string            `json:"file"`
	Policy  string            `json:"policy"`
	Version string            `json:"version"`
	Bytes   int               `json:"bytes"`
	Digest  string            `json:"sha256"`
	Passed  bool              `json:"passed"`
	Kinds   []*conform.Report `json:"kinds"`
	Sample  []replay.Result   `json:"sample,omitempty"` // the module, then builtin:lru
}

func policyTestCommand(ctx context.Context, e *env, args []string) int {
	fs := e.flags().withJSON()
	config := fs.String("config", "", "the policy's settings: a JSON `FILE`, or the JSON itself")
	capacity := fs.Int64("capacity", sampleCapacity, "room for `N` objects when the sample trace is replayed")
	rest, code, ok := fs.parse(args, 1, 1)
	if !ok {
		return code
	}
	if *capacity < 1 {
		return e.wrong(fmt.Errorf("--capacity %d: want at least 1", *capacity))
	}
	settings, err := readConfig(*config)
	if err != nil {
		return e.wrong(err)
	}
	m, refused, err := e.load(ctx, rest[0])
	if err != nil {
		if refused {
			return e.no(err)
		}
		return e.wrong(err)
	}
	result, err := e.test(ctx, m, settings, *capacity)
	if err = errors.Join(err, m.close()); err != nil {
		return e.wrong(err)
	}
	result.File = rest[0]
	if e.json {
		e.printJSON(result)
	} else if code := e.printTest(result, m.kindNames()); code != exitOK {
		return code
	}
	if !result.Passed {
		return exitNo
	}
	return exitOK
}

// test runs every check on every kind of the module.
func (e *env) test(ctx context.Context, m *loaded, settings map[string]any, capacity int64) (*testResult, error) {
	manifest := m.Manifest()
	result := &testResult{Policy: manifest.Name, Version: manifest.Version, Bytes: m.Size(), Digest: m.Digest(), Passed: true}
	progress := terminal.Start(e.stderr, terminal.IsTerminal(e.stderr), "testing "+manifest.Name)
	defer progress.Stop()
	for _, kind := range m.Kinds() {
		report, err := conform.Run(ctx, m.Module, kind, settings)
		if err != nil {
			return nil, err
		}
		result.Kinds = append(result.Kinds, report)
		result.Passed = result.Passed && report.Passed()
		if kind != policies.KindEviction || !report.Passed() {
			continue
		}
		progress.Say("replaying the sample trace")
		if result.Sample, err = replaySample(ctx, m.Module, settings, capacity); err != nil {
			return nil, err
		}
		check := conform.Check{Name: "replay", Passed: true, Detail: fmt.Sprintf("%d calls, no fault", result.Sample[0].Calls)}
		if failure := result.Sample[0].Failure; failure != "" {
			check.Passed, check.Detail, result.Passed = false, failure, false
		}
		report.Checks = append(report.Checks, check)
	}
	return result, nil
}

// replaySample replays the built-in trace under the module and builtin:lru.
func replaySample(ctx context.Context, m *hostabi.Module, settings map[string]any, capacity int64) ([]replay.Result, error) {
	source, err := trace.Open(trace.SampleName, "")
	if err != nil {
		return nil, err
	}
	defer source.Close()
	lru, err := ref.New(nil, nil).Open(ctx, policies.KindEviction, "builtin:lru", ref.OpenOptions{})
	if err != nil {
		return nil, err
	}
	defer lru.Close()
	return replay.Run(ctx, replay.Options{
		Source:     source,
		Capacities: []replay.Capacity{{Amount: capacity}},
		Candidates: []replay.Candidate{
			{Name: m.Manifest().Name, New: func(r replay.Env) (policies.Orderer, error) {
				return m.Eviction(hostabi.Env{Features: r.Features, Config: settings, Seed: r.Seed, Now: r.Now, Replay: true})
			}},
			{Name: lru.Ref(), New: func(r replay.Env) (policies.Orderer, error) {
				return lru.Eviction(ref.Env{Features: r.Features, Seed: r.Seed, Now: r.Now, Replay: true})
			}},
		},
	})
}

// printTest prints the result for people.
func (e *env) printTest(r *testResult, kinds string) int {
	e.printf("%s  %s  %s  sha256 %s\n", strings.TrimSpace(r.Policy+" "+r.Version), kinds, terminal.Bytes(int64(r.Bytes)), short(r.Digest))
	for _, report := range r.Kinds {
		e.printf("\n%s\n", report.Kind)
		t := terminal.Table{Indent: "  ", Unaligned: true}
		t.Row("ok", "interface", "exports, imports, manifest")
		for _, c := range report.Checks {
			verdict := "ok"
			if !c.Passed {
				verdict = "FAIL"
			}
			t.Row(verdict, c.Name, c.Detail)
		}
		if code := e.printTable(&t); code != exitOK {
			return code
		}
	}
	if len(r.Sample) == 2 {
		own, lru := r.Sample[0], r.Sample[1]
		e.printf("\nsample trace: %s requests, room for %s objects\n", terminal.Count(own.Requests), terminal.Count(own.Capacity))
		t := terminal.Table{Indent: "  "}
		t.Row("POLICY", "MISSES", "MISS RATIO", "AGAINST LRU", "SECONDS")
		for _, x := range []replay.Result{own, lru} {
			against := "-"
			if lru.Misses > 0 {
				against = fmt.Sprintf("%+.1f %%", 100*(float64(x.Misses)/float64(lru.Misses)-1))
			}
			t.Row(x.Policy, terminal.Count(x.Misses), fmt.Sprintf("%.2f %%", 100*x.MissRatio), against, fmt.Sprintf("%.2f", x.Seconds))
		}
		if code := e.printTable(&t); code != exitOK {
			return code
		}
	}
	verdict := "passed"
	if !r.Passed {
		verdict = "failed"
	}
	e.printf("\n%s\n", verdict)
	return exitOK
}
