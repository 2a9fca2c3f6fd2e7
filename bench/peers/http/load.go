package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"
)

// load is a set of URLs and the order in which wrk asks for them.
type load struct {
	name   string
	paths  []string
	script string  // of wrk; empty: the only path, without a script
	bytes  float64 // mean content of an answer
}

const (
	skew = 1.0 // of Zipf's law
	// draws is the length of the sequence that wrk repeats; each of its
	// threads begins elsewhere.
	draws = 1 << 14
)

// searches are asked beside all package pages.
var searches = strings.Fields(`context deadline cancel reader writer buffer mutex atomic channel select slice map string
	rune utf8 regexp template json xml gzip zip tar hash sha256 hmac aes tls certificate http client server cookie header proxy
	url listener dial timeout retry error wrap panic recover defer reflect unsafe sort heap list ring time ticker timer`)

// prepare makes the loads and asks every server for all of their URLs until
// they are hits, with equal content.
func prepare(ctx context.Context, dir string, all *servers) ([]*load, error) {
	pages := &load{name: "pages"}
	list, _, err := get(ctx, all.origin.url+"/")
	if err != nil {
		return nil, err
	}
	for _, m := range regexp.MustCompile(`href="(/pkg/[^"]+)"`).FindAllSubmatch(list, -1) {
		pages.paths = append(pages.paths, string(m[1]))
	}
	if len(pages.paths) < 20 {
		return nil, fmt.Errorf("the origin lists %d pages: is there a Go installation with its sources?", len(pages.paths))
	}
	for _, word := range searches {
		pages.paths = append(pages.paths, "/search?q="+word)
	}
	object := &load{name: "object", paths: []string{objectPath}}
	order := zipf(len(pages.paths))
	for _, l := range []*load{pages, object} {
		sizes, err := warm(ctx, all, l.paths)
		if err != nil {
			return nil, err
		}
		if l == object {
			l.bytes = float64(sizes[0])
			continue
		}
		for _, i := range order {
			l.bytes += float64(sizes[i]) / float64(len(order))
		}
	}
	pages.script = filepath.Join(dir, "pages.lua")
	return []*load{object, pages}, os.WriteFile(pages.script, script(pages.paths, order), 0o600)
}

// zipf returns draws numbers below n; which of them are popular is random, but
// always the same.
func zipf(n int) []int {
	sums, total := make([]float64, n), 0.0
	for i := range sums {
		total += 1 / math.Pow(float64(i+1), skew)
		sums[i] = total
	}
	rng := rand.New(rand.NewPCG(1, 2))
	place := rng.Perm(n)
	out := make([]int, draws)
	for i := range out {
		out[i] = place[min(sort.SearchFloat64s(sums, rng.Float64()*total), n-1)]
	}
	return out
}

// script is wrk's: it repeats the sequence of requests.
func script(paths []string, order []int) []byte {
	var b bytes.Buffer
	b.WriteString("local paths = {")
	for _, p := range paths {
		fmt.Fprintf(&b, "%q,", p)
	}
	b.WriteString("}\nlocal order = {")
	for _, i := range order {
		fmt.Fprintf(&b, "%d,", i+1)
	}
	fmt.Fprintf(&b, `}
local started = 0
function setup(thread)
  thread:set("at", started * 7919)
  started = started + 1
end
local requests = {}
function init(args)
  for i, path in ipairs(paths) do requests[i] = wrk.format("GET", path) end
end
function request()
  at = at + 1
  return requests[order[at %% %d + 1]]
end
`, draws)
	return b.Bytes()
}

// warm returns the size of each answer.
func warm(ctx context.Context, all *servers, paths []string) ([]int, error) {
	sizes := make([]int, len(paths))
	sums := make([][32]byte, len(paths))
	for _, s := range all.servers {
		for i, path := range paths {
			body, err := untilHit(ctx, s, path)
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", s.name, path, err)
			}
			sum := sha256.Sum256(body)
			if s == all.origin {
				sizes[i], sums[i] = len(body), sum
			} else if sum != sums[i] {
				return nil, fmt.Errorf("%s: %s: its content differs from the origin's", s.name, path)
			}
		}
	}
	return sizes, nil
}

// untilHit asks for a path until the answer is a hit.
func untilHit(ctx context.Context, s *server, path string) ([]byte, error) {
	for range 50 {
		body, header, err := get(ctx, s.url+path)
		if err != nil || s.hit == nil || s.hit(header) {
			return body, err
		}
	}
	return nil, errors.New("it is never a hit")
}

func get(ctx context.Context, url string) ([]byte, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("it answers %s", resp.Status)
	}
	return body, resp.Header, err
}

// sample is one measurement.
type sample struct {
	rate     float64 // requests a second
	p50, p99 float64 // ms
	cpu      float64 // us of the server for a request
	misses   float64 // share of the requests that reached the origin, 0..1
	memory   float64 // resident MiB of the server afterwards
}

// drive runs wrk against a server.
func drive(ctx context.Context, s *server, l *load, origin *server, o settings) (sample, error) {
	args := []string{
		"-t", strconv.Itoa(o.threads), "-c", strconv.Itoa(o.connections), "-d", o.duration.Truncate(time.Second).String(), "--latency", "--timeout", "30s",
	}
	url := s.url + l.paths[0]
	if l.script != "" {
		args, url = append(args, "-s", l.script), s.url
	}
	asked, err := originRequests(ctx, origin)
	if err != nil {
		return sample{}, err
	}
	before, err := s.cpu()
	if err != nil {
		return sample{}, err
	}
	out, err := exec.CommandContext(ctx, "wrk", append(args, url)...).CombinedOutput()
	if err != nil {
		return sample{}, fmt.Errorf("wrk: %w\n%s", err, out)
	}
	after, err := s.cpu()
	if err != nil {
		return sample{}, err
	}
	m, requests, err := parse(string(out))
	if err != nil {
		return sample{}, err
	}
	now, err := originRequests(ctx, origin)
	if err != nil {
		return sample{}, err
	}
	m.cpu = float64((after - before).Microseconds()) / requests
	m.misses = float64(now-asked) / requests
	m.memory = float64(s.memory()) / (1 << 20)
	return m, nil
}

func originRequests(ctx context.Context, origin *server) (int, error) {
	body, _, err := get(ctx, origin.url+countPath)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(body))
}

var (
	rateLine    = regexp.MustCompile(`Requests/sec:\s+([\d.]+)`)
	countLine   = regexp.MustCompile(`(\d+) requests in`)
	latencyLine = regexp.MustCompile(`(?m)^\s+(50|99)%\s+([\d.]+)(us|ms|s|m)\s*$`)
)

// parse reads what wrk prints.
func parse(out string) (m sample, requests float64, err error) {
	if strings.Contains(out, "Non-2xx") || strings.Contains(out, "Socket errors") {
		return m, 0, fmt.Errorf("not all requests were answered well:\n%s", out)
	}
	rate, count := rateLine.FindStringSubmatch(out), countLine.FindStringSubmatch(out)
	latencies := latencyLine.FindAllStringSubmatch(out, -1)
	if rate == nil || count == nil || len(latencies) != 2 {
		return m, 0, fmt.Errorf("wrk prints something unexpected:\n%s", out)
	}
	m.rate, _ = strconv.ParseFloat(rate[1], 64)
	requests, _ = strconv.ParseFloat(count[1], 64)
	if requests == 0 {
		return m, 0, errors.New("wrk made no request")
	}
	for i, to := range []*float64{&m.p50, &m.p99} {
		unit := map[string]float64{"us": 1e-3, "ms": 1, "s": 1e3, "m": 6e4}[latencies[i][3]]
		v, _ := strconv.ParseFloat(latencies[i][2], 64)
		*to = v * unit
	}
	return m, requests, nil
}
