// Command http measures cached hits over HTTP beside nginx: the demo origin
// bare, nginx as a caching proxy in front of it, and perfoptd in front of it in
// three configurations, each driven by wrk with the same connections and the
// same URLs, in interleaved rounds.
//
//	go run ./http [-rounds 5] [-duration 4s] [-connections 64]
//
// It needs nginx and wrk (on Debian: apt-get install nginx-light wrk), builds
// perfoptd from this repository, starts everything itself on loopback with
// free ports and a temporary directory, and ends what it started.
//
//   - servers.go starts the servers, origin.go is the origin.
//   - load.go makes the URLs and runs wrk, report.go prints the table.
//
// Two loads: "pages", package pages and searches of the demo, Zipf 1.0; and
// "object", one answer of 1 KiB. The origin lets its answers be kept for an
// hour, so that what is measured are hits; the table says how many were not.
// Before measuring, every URL is asked of every server until it is a hit, and
// the bodies must be equal.
//
// The command must not tune the host, and must not know how perfoptd works: it
// runs the binary as a user would. Caveats: wrk is closed-loop and shares the
// processors with the servers, so latencies are those of saturation and
// requests/s says what the machine has left beside wrk. CPU time per request is
// the steadier figure.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"time"
)

// settings are the flags.
type settings struct {
	rounds      int
	duration    time.Duration
	connections int
	threads     int
	origin      bool
}

func main() {
	var s settings
	flag.IntVar(&s.rounds, "rounds", 5, "interleaved rounds")
	flag.DurationVar(&s.duration, "duration", 4*time.Second, "of one measurement; whole seconds")
	flag.IntVar(&s.connections, "connections", 64, "connections of wrk")
	flag.IntVar(&s.threads, "threads", 2, "threads of wrk")
	flag.BoolVar(&s.origin, "origin", false, "be the origin (used by the command itself)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := error(nil)
	switch {
	case s.origin:
		err = serveOrigin(ctx)
	case flag.NArg() > 0 || s.rounds < 1 || s.duration < time.Second || s.connections < s.threads || s.threads < 1:
		err = errors.New("want -rounds of 1 or more, -duration of 1s or more, -connections of at least -threads")
	default:
		err = measure(ctx, s)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "http:", err)
		os.Exit(1)
	}
}

// measure is the whole run.
func measure(ctx context.Context, s settings) error {
	for _, tool := range []string{"nginx", "wrk"} {
		if _, err := find(tool); err != nil {
			return fmt.Errorf("%w; on Debian: apt-get install nginx-light wrk", err)
		}
	}
	// A bound for everything: starting, warming, five servers and two loads.
	limit := 3*time.Minute + time.Duration(s.rounds)*2*5*(s.duration+5*time.Second)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	dir, err := os.MkdirTemp("", "perfopt-http-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	started, err := startAll(ctx, dir)
	defer started.stop()
	if err != nil {
		return err
	}
	loads, err := prepare(ctx, dir, started)
	if err != nil {
		return err
	}
	r := report{settings: s, servers: started.servers, baseline: started.baseline, loads: loads, samples: map[cell][]sample{}}
	for round := range s.rounds {
		for _, l := range loads {
			for _, server := range started.servers {
				fmt.Fprintf(os.Stderr, "round %d of %d: %s, %s\n", round+1, s.rounds, l.name, server.name)
				m, err := drive(ctx, server, l, started.origin, s)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", server.name, l.name, err)
				}
				c := cell{l.name, server.name}
				r.samples[c] = append(r.samples[c], m)
			}
		}
	}
	r.print(os.Stdout)
	return nil
}

// find looks a program up, also where Debian keeps servers.
func find(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	return exec.LookPath("/usr/sbin/" + name)
}

// machine describes where this runs.
func machine() string {
	return fmt.Sprintf("%s/%s, %d processors, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
}
