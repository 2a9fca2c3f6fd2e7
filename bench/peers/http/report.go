package main

import (
	"fmt"
	"io"
	"os/exec"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/perfopt/perfopt/bench/stats"
)

// cell is a field of the table.
type cell struct{ load, server string }

// report is what was measured.
type report struct {
	settings settings
	servers  []*server
	baseline *server // nginx
	loads    []*load
	samples  map[cell][]sample
}

// print prints medians over the rounds, and the medians of the ratios to nginx
// within each round, with their range.
func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "%s; %s; %s; %s\n", time.Now().UTC().Format(time.DateOnly), machine(), version("nginx", "-v"), version("wrk", "-v"))
	fmt.Fprintf(w, "%d rounds of %v, %d connections, %d threads of wrk\n", r.settings.rounds, r.settings.duration, r.settings.connections, r.settings.threads)
	for _, l := range r.loads {
		fmt.Fprintf(w, "\n%s: %d URLs, %.1f KiB an answer\n\n", l.name, len(l.paths), l.bytes/1024)
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(t, "\tserver\trequests/s\tratio to nginx (range)\tp50 ms\tp99 ms\tCPU us/request\tratio of CPU\tmisses\tRSS MiB\t")
		for _, s := range r.servers {
			rate, cpu := r.ratios(l, s, func(m sample) float64 { return m.rate }), r.ratios(l, s, func(m sample) float64 { return m.cpu })
			misses := "-"
			if s.hit != nil {
				misses = fmt.Sprintf("%.4f %%", 100*r.median(l, s, func(m sample) float64 { return m.misses }))
			}
			fmt.Fprintf(t, "\t%s\t%.0f\t%.2f (%.2f-%.2f)\t%.2f\t%.2f\t%.2f\t%.2f\t%s\t%.0f\t\n", s.name,
				r.median(l, s, func(m sample) float64 { return m.rate }),
				stats.Median(rate), stats.Quantile(rate, 0), stats.Quantile(rate, 1),
				r.median(l, s, func(m sample) float64 { return m.p50 }), r.median(l, s, func(m sample) float64 { return m.p99 }),
				r.median(l, s, func(m sample) float64 { return m.cpu }), stats.Median(cpu),
				misses, r.median(l, s, func(m sample) float64 { return m.memory }))
		}
		t.Flush()
	}
}

func (r *report) median(l *load, s *server, of func(sample) float64) float64 {
	all := []float64{}
	for _, m := range r.samples[cell{l.name, s.name}] {
		all = append(all, of(m))
	}
	return stats.Median(all)
}

// ratios returns a server's value over nginx's for each round.
func (r *report) ratios(l *load, s *server, of func(sample) float64) []float64 {
	all := []float64{}
	base := r.samples[cell{l.name, r.baseline.name}]
	for i, m := range r.samples[cell{l.name, s.name}] {
		all = append(all, of(m)/of(base[i]))
	}
	return all
}

// version returns the first line that a program says of itself.
func version(name, flag string) string {
	path, err := find(name)
	if err != nil {
		return name
	}
	out, _ := exec.Command(path, flag).CombinedOutput() // wrk fails after it has said so
	line, _, _ := strings.Cut(string(out), "\n")
	line, _, _ = strings.Cut(line, " Copyright")
	return strings.TrimSpace(strings.TrimPrefix(line, "nginx version: "))
}
