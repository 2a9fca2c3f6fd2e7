// Package metrics shows samples in the formats of Prometheus and OpenMetrics.
// It asks its [Source] at each scrape, adds what the Go runtime and the
// process say of themselves, and bounds the number of series.
//
//   - [Handler] serves /metrics for a source.
//   - [Sample] is one number with its labels; [Source] returns them.
//
// Names begin with perfopt_. A sample whose name or labels are malformed, that
// repeats another, or that is one too many of its name is left out and counted
// in perfopt_metrics_dropped_total: one bad number never hides the others.
//
// This package must not know what is measured or who measures it: a sample is
// a name, labels and a number.
//
// Caveats. Labels must come from configuration (routes, seats, caches), never
// from requests: the bound on series is a net, not a plan.
package metrics

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxSeries bounds the series of one name.
const maxSeries = 1000

// Kind says how a number behaves over time.
type Kind uint8

// The kinds of sample.
const (
	Gauge   Kind = iota // goes up and down
	Counter             // only grows; the name ends in _total
)

// Sample is one number of one moment.
type Sample struct {
	Name   string            // without perfopt_; base units: seconds, bytes, ratios 0..1
	Help   string            // one sentence
	Kind   Kind              //
	Labels map[string]string // may be nil; all samples of a name have the same label names
	Value  float64
}

// Source is asked at each scrape. Safe for concurrent use.
type Source interface {
	Samples() []Sample
}

// Handler serves the source's samples, safe for concurrent use.
func Handler(source Source) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(&collector{source: source}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true, ErrorHandling: promhttp.ContinueOnError})
}

// collector turns samples into metrics of the client library.
type collector struct {
	source  Source
	dropped atomic.Uint64
}

// Describe sends nothing: which metrics there are is known at a scrape only.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

var (
	metricName = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)
	droppedBy  = prometheus.NewDesc("perfopt_metrics_dropped_total", "Samples left out because they were malformed, repeated or too many.", nil, nil)
)

// Collect sends one metric a sample.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	series := map[string]map[string]bool{}
	labelNames := map[string]string{}
	for _, s := range c.source.Samples() {
		names := slices.Sorted(maps.Keys(s.Labels))
		values := make([]string, len(names))
		for i, n := range names {
			values[i] = strings.ToValidUTF8(s.Labels[n], "\uFFFD")
		}
		shape, known := labelNames[s.Name]
		if !known {
			shape = strings.Join(names, ",")
			labelNames[s.Name] = shape
			series[s.Name] = map[string]bool{}
		}
		id := strings.Join(values, "\x00")
		wellFormed := metricName.MatchString(s.Name) && shape == strings.Join(names, ",") &&
			!slices.ContainsFunc(names, func(n string) bool { return !metricName.MatchString(n) })
		if !wellFormed || series[s.Name][id] || len(series[s.Name]) >= maxSeries {
			c.dropped.Add(1)
			continue
		}
		series[s.Name][id] = true
		kind := prometheus.GaugeValue
		if s.Kind == Counter {
			kind = prometheus.CounterValue
		}
		metric, err := prometheus.NewConstMetric(prometheus.NewDesc("perfopt_"+s.Name, s.Help, names, nil), kind, s.Value, values...)
		if err != nil {
			c.dropped.Add(1)
			continue
		}
		out <- metric
	}
	out <- prometheus.MustNewConstMetric(droppedBy, prometheus.CounterValue, float64(c.dropped.Load()))
}
