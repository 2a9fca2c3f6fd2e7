// Command l1 measures perfopt's first tier beside Otter v2: reads, a mix of
// reads and writes, and writes that evict, for several eviction policies, one
// of them a WebAssembly module.
//
//	GOMAXPROCS=2 go run ./l1 [-rounds 7] [-duration 1s] [-only read]
//
// Every round measures every cache once, in turn, each in a cache made and
// filled for it; the table has medians over the rounds and the median of the
// ratios to Otter within each round, with their range. Keys are strings of 16
// bytes, values have 64 bytes, 8 goroutines call.
//
//   - read: Zipf 0.99 over 65,536 resident keys of a cache that is 80 % full;
//   - mix: the same with 25 % writes;
//   - evict: all writes, uniform over 1,048,576 keys, capacity 65,536.
//
// Beside the speed stands the share of hits that reached the policy: a cache
// that drops its records would win the race and lose the point. Otter does not
// tell its share.
//
//   - peers.go has the caches, work.go the scenarios.
//
// The command must not know how a cache works: it calls what any program
// calls. Policies are guarded, as the daemon guards them. Caveat: two
// processors are mild on locks; nothing here says how a cache scales.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"text/tabwriter"
	"time"

	"github.com/perfopt/perfopt/bench/stats"
)

// settings are the flags.
type settings struct {
	rounds   int
	duration time.Duration
	only     string
	peer     string
	profile  string
}

func main() {
	var s settings
	flag.IntVar(&s.rounds, "rounds", 7, "interleaved rounds")
	flag.DurationVar(&s.duration, "duration", time.Second, "of one measurement")
	flag.StringVar(&s.only, "only", "", "one scenario: read, mix or evict")
	flag.StringVar(&s.peer, "peer", "", "one cache beside otter, by its name in the table")
	flag.StringVar(&s.profile, "cpuprofile", "", "write a CPU profile of all measurements to this `file`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, s, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "l1:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings, w io.Writer) error {
	if flag.NArg() > 0 || s.rounds < 1 || s.duration <= 0 {
		return fmt.Errorf("want -rounds of 1 or more and a -duration")
	}
	all, closePeers, err := peers(ctx, s.peer)
	if err != nil {
		return err
	}
	defer closePeers()
	if s.profile != "" {
		f, err := os.Create(s.profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	fmt.Fprintf(w, "%s; %s/%s, %d of %d processors, %s; otter v2.4.0\n", time.Now().UTC().Format(time.DateOnly),
		runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), runtime.NumCPU(), runtime.Version())
	fmt.Fprintf(w, "%d rounds of %v, %d goroutines\n", s.rounds, s.duration, goroutines)
	for _, sc := range scenarios() {
		if s.only != "" && s.only != sc.name {
			continue
		}
		samples := make([][]sample, len(all))
		for round := range s.rounds {
			for i, p := range all {
				if err := ctx.Err(); err != nil {
					return err
				}
				fmt.Fprintf(os.Stderr, "%s, round %d of %d: %s\n", sc.name, round+1, s.rounds, p.name)
				m, err := measure(p, sc, s.duration)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", sc.name, p.name, err)
				}
				samples[i] = append(samples[i], m)
			}
		}
		printScenario(w, sc, all, samples)
	}
	return nil
}

// printScenario prints the table of one scenario. The last peer is Otter.
func printScenario(w io.Writer, sc scenario, all []peer, samples [][]sample) {
	fmt.Fprintf(w, "\n%s: %s\n\n", sc.name, sc.what)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tcache\tMops/s\tratio to otter (range)\thits recorded\tgets that hit\t")
	base := samples[len(samples)-1]
	for i, p := range all {
		var rates, ratios, recorded, hits []float64
		for round, m := range samples[i] {
			rates = append(rates, m.rate/1e6)
			ratios = append(ratios, m.rate/base[round].rate)
			recorded, hits = append(recorded, m.recorded), append(hits, m.hits)
		}
		fmt.Fprintf(t, "\t%s\t%.2f\t%.2f (%.2f-%.2f)\t%s\t%s\t\n", p.name, stats.Median(rates),
			stats.Median(ratios), stats.Quantile(ratios, 0), stats.Quantile(ratios, 1), percent(recorded), percent(hits))
	}
	t.Flush()
}

// percent returns the median of shares; a negative one is not known.
func percent(shares []float64) string {
	if m := stats.Median(shares); m >= 0 {
		return fmt.Sprintf("%.1f %%", 100*m)
	}
	return "-"
}
