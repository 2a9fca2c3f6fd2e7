package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/perfopt/perfopt/bench/replay"
	"github.com/perfopt/perfopt/bench/trace"
	"github.com/perfopt/perfopt/internal/terminal"
	"github.com/perfopt/perfopt/policies"
)

const replayUsage = `replay --trace FILE --capacity N --policy P [--policy P...]

Replays recorded accesses through the cache that the daemon uses, under each
policy at each capacity, and prints how many were misses. The same trace and
policy give the same answer, always.

FILE is a trace, plain or compressed with gzip, xz or zstd; "sample" is built in.
P is builtin:NAME, shipped:NAME, a path to a .wasm module, or sha256:HEX.
A capacity counts objects, or bytes where it has a unit (64MiB).

  perfopt replay --trace sample --capacity 100,500 --policy builtin:lru --policy builtin:s3fifo`

// texts is a flag that may be given several times.
type texts []string

func (t *texts) String() string { return strings.Join(*t, ",") }

// Set adds a value.
func (t *texts) Set(s string) error {
	*t = append(*t, s)
	return nil
}

// replayFlags are the flags that replay and ab replay share.
type replayFlags struct {
	traces   texts
	format   string
	capacity string
	kind     string
	rate     float64
}

func (f *replayFlags) add(fs *flags) {
	fs.Var(&f.traces, "trace", "`FILE` to replay, or sample; may be repeated")
	fs.StringVar(&f.format, "format", "auto", "`FORMAT` of the trace: auto, oracle, arc, lirs, csv, spaced, mooncake, be32 or be64")
	fs.StringVar(&f.capacity, "capacity", "", "room in the cache: a number of objects or bytes (64MiB); several are separated by commas (`N[,N...]`)")
	fs.StringVar(&f.kind, "kind", string(policies.KindEviction), "`KIND` of the policies: eviction")
	fs.Float64Var(&f.rate, "rate", replay.DefaultRate, "requests per second (`R`) of a trace without times")
}

// check returns the capacities, or what is wrong with the flags.
func (f *replayFlags) check() ([]replay.Capacity, error) {
	var problems []error
	if len(f.traces) == 0 {
		problems = append(problems, errors.New("--trace is missing: name a file, or sample"))
	}
	if _, err := trace.ParseFormat(f.format); err != nil {
		problems = append(problems, err)
	}
	if kind, err := policies.ParseKind(f.kind); err != nil {
		problems = append(problems, err)
	} else if kind != policies.KindEviction {
		problems = append(problems, fmt.Errorf("--kind %s cannot be replayed: a trace of accesses decides eviction only", kind))
	}
	if !(f.rate > 0 && f.rate <= 1e9) {
		problems = append(problems, fmt.Errorf("--rate %v: want more than 0 and at most 1e9 requests per second", f.rate))
	}
	if f.capacity == "" {
		problems = append(problems, errors.New("--capacity is missing: give a number of objects (1000) or bytes (64MiB)"))
		return nil, errors.Join(problems...)
	}
	var capacities []replay.Capacity
	for part := range strings.SplitSeq(f.capacity, ",") {
		c, err := replay.ParseCapacity(part)
		if err != nil {
			problems = append(problems, err)
		}
		capacities = append(capacities, c)
	}
	return capacities, errors.Join(problems...)
}

func replayCommand(ctx context.Context, e *env, args []string) int {
	fs := e.flags().withJSON()
	var shared replayFlags
	shared.add(fs)
	var uses texts
	fs.Var(&uses, "policy", "policy reference (`P`); may be repeated")
	if _, code, ok := fs.parse(args, 0, 0); !ok {
		return code
	}
	capacities, err := shared.check()
	if len(uses) == 0 {
		err = errors.Join(err, errors.New("--policy is missing: name one, such as builtin:lru"))
	}
	if err != nil {
		return e.wrong(err)
	}
	candidates, done, err := e.openCandidates(ctx, uses)
	if err != nil {
		return e.wrong(err)
	}
	defer done()
	results := []replay.Result{}
	for _, path := range shared.traces {
		r, err := e.replayOne(ctx, path, &shared, candidates, capacities)
		if err != nil {
			return e.wrong(err)
		}
		results = append(results, r...)
	}
	return e.printReplay(results)
}

// replayOne replays one trace with a line of progress.
func (e *env) replayOne(ctx context.Context, path string, f *replayFlags, c []replay.Candidate, capacities []replay.Capacity) ([]replay.Result, error) {
	r, err := trace.Open(path, f.format)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	p := terminal.Start(e.stderr, terminal.IsTerminal(e.stderr), "replaying "+r.Name())
	defer p.Stop()
	return replay.Run(ctx, replay.Options{
		Source: r, Candidates: c, Capacities: capacities, Rate: f.rate,
		Progress: func(requests int64) { p.Set(requests, 0) },
	})
}

// printReplay prints the results; a policy that failed makes the answer no.
func (e *env) printReplay(results []replay.Result) int {
	code := exitOK
	for _, r := range results {
		if r.Failure != "" {
			e.notef("perfopt %s: %s failed on %s: %s; the host made room instead, so its numbers are not its own", e.path, r.Policy, r.Trace, r.Failure)
			code = exitNo
		}
	}
	if e.json {
		e.printJSON(map[string]any{"results": results})
		return code
	}
	var t terminal.Table
	t.Row("trace", "capacity", "policy", "requests", "misses", "miss ratio", "misses against first", "seconds", "calls")
	var first replay.Result
	for _, r := range results {
		if r.Trace != first.Trace || r.Capacity != first.Capacity || r.Unit != first.Unit {
			first = r
		}
		against := "-"
		if r.Policy != first.Policy {
			against = percent(float64(r.Misses)/float64(first.Misses) - 1)
		}
		capacity := replay.Capacity{Amount: r.Capacity, Bytes: r.Unit == "bytes"}
		t.Row(r.Trace, capacity.String(), r.Policy, terminal.Count(r.Requests), terminal.Count(r.Misses),
			fmt.Sprintf("%.4f", r.MissRatio), against, fmt.Sprintf("%.2f", r.Seconds), terminal.Count(int64(r.Calls)))
	}
	if err := t.Print(e.stdout); err != nil {
		return e.wrong(err)
	}
	return code
}

// percent says a relative change: "-3.1 %", "0 %" only where there is none.
func percent(v float64) string {
	if v == 0 {
		return "0 %"
	}
	return fmt.Sprintf("%+.1f %%", 100*v)
}
