package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/rogpeppe/go-internal/testscript"
)

// load is a bounded stream of requests at a rate, over some keys.
type load struct {
	proxy                      string
	rate, workers, count, keys int

	ctx    context.Context
	cancel context.CancelFunc
	wait   sync.WaitGroup
	next   atomic.Int64
	done   atomic.Int64
	hits   atomic.Int64
	failed atomic.Int64
	first  atomic.Pointer[error] // the first failure
}

const loadUsage = `usage:
	load start [rate=N] [workers=N] [count=N] [keys=N]    asks for PROXY/key/0 and so on in the background
	load until N                                          waits until N requests were answered
	load stop                                             ends it before its count; wants that no request failed
	load wait                                             waits for its end; wants that no request failed`

// cmdLoad makes many requests.
func cmdLoad(ts *testscript.TestScript, neg bool, args []string) {
	w := worldOf(ts)
	if neg || len(args) == 0 || args[0] != "start" && w.load == nil {
		ts.Fatalf(loadUsage)
	}
	switch {
	case args[0] == "start":
		l := &load{proxy: ts.Getenv("PROXY"), rate: 1000, workers: 4, count: 1000, keys: 100}
		fields := map[string]*int{"rate": &l.rate, "workers": &l.workers, "count": &l.count, "keys": &l.keys}
		for _, a := range args[1:] {
			name, value, _ := strings.Cut(a, "=")
			n, err := strconv.Atoi(value)
			if fields[name] == nil || err != nil {
				ts.Fatalf(loadUsage)
			}
			*fields[name] = n
		}
		l.ctx, l.cancel = context.WithCancel(context.Background())
		w.load = l
		began := time.Now()
		for range l.workers {
			l.wait.Go(func() { l.work(began) })
		}
	case args[0] == "until" && len(args) == 2:
		want, err := strconv.ParseInt(args[1], 10, 64)
		ts.Check(err)
		ts.Check(eventually(func() error {
			if got := w.load.done.Load(); got < want {
				return fmt.Errorf("%d requests were answered, want %d", got, want)
			}
			return nil
		}))
	case args[0] == "stop":
		w.load.next.Store(int64(w.load.count))
		w.load.finish(ts)
	case args[0] == "wait":
		w.load.finish(ts)
	default:
		ts.Fatalf(loadUsage)
	}
}

func (l *load) finish(ts *testscript.TestScript) {
	l.wait.Wait()
	l.cancel()
	done, failed := l.done.Load(), l.failed.Load()
	fmt.Fprintf(ts.Stdout(), "%d requests, %d hits, %d failed\n", done, l.hits.Load(), failed)
	if failed > 0 {
		ts.Fatalf("%d of %d requests failed, the first: %v", failed, done, *l.first.Load())
	}
	if done == 0 {
		ts.Fatalf("no request was made")
	}
}

// work makes requests, each when it is due.
func (l *load) work(began time.Time) {
	due := time.NewTimer(0)
	defer due.Stop()
	for {
		i := l.next.Add(1) - 1
		if i >= int64(l.count) {
			return
		}
		due.Reset(time.Until(began.Add(time.Duration(i) * time.Second / time.Duration(l.rate))))
		select {
		case <-l.ctx.Done():
			return
		case <-due.C:
		}
		if err := l.one(i % int64(l.keys)); err != nil && l.ctx.Err() == nil {
			l.failed.Add(1)
			l.first.CompareAndSwap(nil, &err)
		}
		l.done.Add(1)
	}
}

func (l *load) one(key int64) error {
	req, err := http.NewRequestWithContext(l.ctx, http.MethodGet, fmt.Sprintf("%s/key/%d", l.proxy, key), nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(string(body), "/key/") {
		return fmt.Errorf("key %d: status %d, %q", key, resp.StatusCode, body)
	}
	if strings.Contains(resp.Header.Get("Cache-Status"), "; hit") {
		l.hits.Add(1)
	}
	return nil
}

// cmdSwaps exchanges the policy of a seat many times, by turns:
// swaps N SEAT REF REF...
func cmdSwaps(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: swaps N SEAT REF...")
	}
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	refs := args[2:]
	for i := range n {
		body, err := json.Marshal(map[string]string{"use": refs[i%len(refs)]})
		ts.Check(err)
		req, err := http.NewRequest(http.MethodPut, ts.Getenv("ADMIN")+"/v1/policies/"+args[1], bytes.NewReader(body))
		ts.Check(err)
		req.Header.Set("Content-Type", "application/json")
		if a := ask(req); a.err != nil || a.status != http.StatusOK {
			ts.Fatalf("swap %d to %s: %v\n%s", i, refs[i%len(refs)], a.err, a.text)
		}
	}
}

// cmdMetrics reads /metrics as Prometheus does, wants that every name begins
// with perfopt_, go_ or process_, and that those named have samples.
func cmdMetrics(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: metrics [NAME...]")
	}
	resp, err := client.Get(ts.Getenv("ADMIN") + "/metrics")
	ts.Check(err)
	defer resp.Body.Close()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	ts.Check(err)
	for name, family := range families {
		known := false
		for _, prefix := range []string{"perfopt_", "go_", "process_"} {
			known = known || strings.HasPrefix(name, prefix)
		}
		if !known || len(family.Metric) == 0 || family.GetHelp() == "" {
			err = errors.Join(err, fmt.Errorf("metric %s: %d samples, help %q", name, len(family.Metric), family.GetHelp()))
		}
	}
	for _, name := range args {
		if families[name] == nil {
			err = errors.Join(err, fmt.Errorf("metric %s is missing", name))
		}
	}
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%d metrics\n", len(families))
}
