package metrics

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
)

type source []Sample

func (s source) Samples() []Sample { return s }

func scrape(t *testing.T, s source) string {
	t.Helper()
	w := httptest.NewRecorder()
	Handler(s).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestSamplesAreShown(t *testing.T) {
	got := scrape(t, source{
		{Name: "hits_total", Help: "Hits.", Kind: Counter, Labels: map[string]string{"cache": "default", "tier": "l1"}, Value: 3},
		{Name: "hits_total", Help: "Hits.", Kind: Counter, Labels: map[string]string{"cache": "docs", "tier": "l1"}, Value: 4},
		{Name: "limit", Help: "Limit.", Value: 12.5},
		{Name: "odd", Help: "Odd.", Labels: map[string]string{"route": "a\"b\n\xff"}, Value: 1},
	})
	for _, want := range []string{
		"# TYPE perfopt_hits_total counter", `perfopt_hits_total{cache="default",tier="l1"} 3`,
		`perfopt_hits_total{cache="docs",tier="l1"} 4`, "perfopt_limit 12.5", `perfopt_odd{route="a\"b\n` + "\uFFFD" + `"} 1`,
		"perfopt_metrics_dropped_total 0", "go_goroutines", "process_cpu_seconds_total",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("lacks %s", want)
		}
	}
}

func TestBadSamplesAreDroppedAndCounted(t *testing.T) {
	samples := source{
		{Name: "good", Help: "Good.", Value: 1},
		{Name: "good", Help: "Good.", Value: 2},
		{Name: "good", Help: "Good.", Labels: map[string]string{"x": "y"}, Value: 3},
		{Name: "bad name", Help: "Bad.", Value: 1},
		{Name: "labels", Help: "Bad.", Labels: map[string]string{"a-b": "y"}, Value: 1},
	}
	got := scrape(t, samples)
	if !strings.Contains(got, "perfopt_good 1") || !strings.Contains(got, "perfopt_metrics_dropped_total 4") {
		t.Errorf("got:\n%s", got)
	}
}

func TestSeriesAreBounded(t *testing.T) {
	var samples source
	for i := range 5000 {
		samples = append(samples, Sample{Name: "m", Help: "M.", Labels: map[string]string{"path": fmt.Sprint(i)}})
	}
	got := scrape(t, samples)
	if n := strings.Count(got, "perfopt_m{"); n != maxSeries {
		t.Errorf("%d series, want %d", n, maxSeries)
	}
}
