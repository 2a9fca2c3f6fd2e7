package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// origin is a web server whose answers a script sets. A path that was not set
// is answered with itself, fresh for an hour.
type origin struct {
	url string

	mu sync.Mutex
	// guards the fields below
	server  *httptest.Server // nil while it is down
	rules   map[string]rule  // by path
	log     []string         // requests as they came
	counts  map[string]int   // of requests, by path
	held    int
	closing bool
	release chan struct{} // closed to let held requests go on
}

// rule is how a path is answered.
type rule struct {
	status int
	header http.Header
	body   string
	size   int  // of a body made of x; 0 = body
	hold   bool // wait for a release
	lie    int  // length that is said, while less is sent
	echo   bool // the body is the request
}

const originUsage = `usage:
	origin                             starts one, or starts it again where it was; sets ORIGIN
	origin answer PATH [OPTION...]     status=N body=TEXT size=N lie=N hold echo, or 'Name: value'
	origin release                     lets what is held go on
	origin held N                      waits until N requests are held
	origin requests PATH N             wants that N requests came for the path (* = any)
	origin log                         prints the requests, fields included
	origin down                        stops listening`

// cmdOrigin controls the origin.
func cmdOrigin(ts *testscript.TestScript, neg bool, args []string) {
	w := worldOf(ts)
	if neg || w.origin == nil && len(args) != 0 {
		ts.Fatalf(originUsage)
	}
	switch {
	case len(args) == 0 && w.origin == nil:
		w.origin = &origin{rules: map[string]rule{}, counts: map[string]int{}, release: make(chan struct{})}
		ts.Check(w.origin.up("127.0.0.1:0"))
		ts.Setenv("ORIGIN", w.origin.url)
	case len(args) == 0:
		ts.Check(w.origin.up(strings.TrimPrefix(w.origin.url, "http://")))
	case args[0] == "answer" && len(args) >= 2:
		r, err := parseRule(args[2:])
		ts.Check(err)
		w.origin.mu.Lock()
		w.origin.rules[args[1]] = r
		w.origin.mu.Unlock()
	case args[0] == "release":
		w.origin.letGo()
	case args[0] == "held" && len(args) == 2:
		ts.Check(eventually(func() error { return w.origin.wantHeld(args[1]) }))
	case args[0] == "requests" && len(args) == 3:
		want, err := strconv.Atoi(args[2])
		ts.Check(err)
		if got := w.origin.count(args[1]); got != want {
			ts.Fatalf("%d requests for %s, want %d:\n%s", got, args[1], want, w.origin.text())
		}
	case args[0] == "log":
		fmt.Fprint(ts.Stdout(), w.origin.text())
	case args[0] == "down":
		w.origin.down()
	default:
		ts.Fatalf(originUsage)
	}
}

func parseRule(options []string) (rule, error) {
	r := rule{status: http.StatusOK, header: http.Header{}}
	for _, o := range options {
		if name, value, ok := strings.Cut(o, ": "); ok {
			r.header.Add(name, value)
			continue
		}
		name, value, _ := strings.Cut(o, "=")
		var err error
		switch name {
		case "status":
			r.status, err = strconv.Atoi(value)
		case "size":
			r.size, err = strconv.Atoi(value)
		case "lie":
			r.lie, err = strconv.Atoi(value)
		case "body":
			r.body = value
		case "hold":
			r.hold = true
		case "echo":
			r.echo = true
		default:
			err = fmt.Errorf("unknown option %q", o)
		}
		if err != nil {
			return r, err
		}
	}
	return r, nil
}

func (o *origin) up(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	s := httptest.NewUnstartedServer(o)
	_ = s.Listener.Close() // of another port
	s.Listener = l
	s.Start()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.server, o.url = s, s.URL
	return nil
}

func (o *origin) down() {
	o.mu.Lock()
	s := o.server
	o.server = nil
	o.mu.Unlock()
	if s != nil {
		s.CloseClientConnections()
		s.Close()
	}
}

func (o *origin) close() {
	o.mu.Lock()
	o.closing = true
	o.mu.Unlock()
	o.letGo()
	o.down()
}

// letGo lets the requests that are held go on; later ones are held again.
func (o *origin) letGo() {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.release)
	o.held, o.release = 0, make(chan struct{})
}

func (o *origin) wantHeld(text string) error {
	want, err := strconv.Atoi(text)
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.held < want {
		return fmt.Errorf("%d requests are held, want %d", o.held, want)
	}
	return nil
}

func (o *origin) count(path string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	if path != "*" {
		return o.counts[path]
	}
	total := 0
	for _, n := range o.counts {
		total += n
	}
	return total
}

func (o *origin) text() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(o.log, "")
}

// describe writes a request as it came, its fields sorted.
func describe(r *http.Request) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n  Host: %s\n", r.Method, r.RequestURI, r.Host)
	var lines []string
	for name, values := range r.Header {
		lines = append(lines, "  "+name+": "+strings.Join(values, ", ")+"\n")
	}
	slices.Sort(lines)
	return b.String() + strings.Join(lines, "")
}

// enter counts a request and returns how it is answered.
func (o *origin) enter(r *http.Request) (answer rule, release chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.counts[r.URL.Path]++
	if len(o.log) < 1000 {
		o.log = append(o.log, describe(r))
	}
	answer, ok := o.rules[r.URL.Path]
	if !ok {
		answer = rule{status: http.StatusOK, header: http.Header{"Cache-Control": {"max-age=3600"}}, body: r.RequestURI}
	}
	answer.hold = answer.hold && !o.closing
	if answer.hold {
		o.held++
	}
	return answer, o.release
}

// gone forgets a request that left while it was held.
func (o *origin) gone(release chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.release == release {
		o.held--
	}
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, release := o.enter(r)
	if answer.hold {
		select {
		case <-release:
		case <-r.Context().Done():
			o.gone(release)
		}
	}
	for name, values := range answer.header {
		w.Header()[name] = values
	}
	if tag := answer.header.Get("Etag"); tag != "" && r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body := answer.body
	if answer.echo {
		body = describe(r)
	}
	if answer.size > 0 {
		body = strings.Repeat("x", answer.size)
	}
	if answer.lie > 0 {
		w.Header().Set("Content-Length", strconv.Itoa(answer.lie))
	}
	w.WriteHeader(answer.status)
	_, _ = w.Write([]byte(body)) // the daemon may have left
}
