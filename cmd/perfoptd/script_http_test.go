package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// client asks exactly what it is told: no redirects, no compression of its own.
var client = &http.Client{
	Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// answer is what came of a request, as text.
type answer struct {
	text   string
	status int
	err    error
}

const httpUsage = `usage:
	http METHOD URL ['Name: value'...] [@FILE | =TEXT]    prints status, fields and body; ! wants no whole answer
	http NAME& METHOD URL ...                             the same in the background
	http wait NAME                                        prints the answer of one in the background
	http leave URL                                        goes away in the middle of the answer`

// cmdHTTP makes a request.
func cmdHTTP(ts *testscript.TestScript, neg bool, args []string) {
	w := worldOf(ts)
	if len(args) < 2 {
		ts.Fatalf(httpUsage)
	}
	switch {
	case args[0] == "wait":
		w.mu.Lock()
		ch := w.waiting[args[1]]
		w.mu.Unlock()
		if ch == nil {
			ts.Fatalf("no request named %s is under way", args[1])
		}
		show(ts, neg, <-ch)
	case args[0] == "leave":
		ts.Check(leave(args[1]))
	case strings.HasSuffix(args[0], "&"):
		req, err := newRequest(ts, args[1:])
		ts.Check(err)
		ch := make(chan answer, 1)
		w.mu.Lock()
		w.waiting[strings.TrimSuffix(args[0], "&")] = ch
		w.mu.Unlock()
		go func() { ch <- ask(req) }()
	default:
		req, err := newRequest(ts, args)
		ts.Check(err)
		show(ts, neg, ask(req))
	}
}

func show(ts *testscript.TestScript, neg bool, a answer) {
	fmt.Fprint(ts.Stdout(), a.text)
	if neg == (a.err == nil) {
		ts.Fatalf("error %v:\n%s", a.err, a.text)
	}
}

// newRequest reads METHOD URL ['Name: value'...] [@FILE | =TEXT].
func newRequest(ts *testscript.TestScript, args []string) (*http.Request, error) {
	if len(args) < 2 {
		return nil, errors.New(httpUsage)
	}
	var body io.Reader
	header := http.Header{}
	for _, a := range args[2:] {
		if file, ok := strings.CutPrefix(a, "@"); ok {
			content, err := os.ReadFile(ts.MkAbs(file))
			if err != nil {
				return nil, err
			}
			body = strings.NewReader(string(content))
		} else if text, ok := strings.CutPrefix(a, "="); ok {
			body = strings.NewReader(text)
		} else if name, value, ok := strings.Cut(a, ": "); ok {
			header.Add(name, value)
		} else {
			return nil, fmt.Errorf("%q is neither a field nor a body", a)
		}
	}
	req, err := http.NewRequest(args[0], args[1], body)
	if err != nil {
		return nil, err
	}
	req.Header = header
	if host := header.Get("Host"); host != "" {
		req.Host = host
	}
	return req, nil
}

func ask(req *http.Request) answer {
	ctx, cancel := context.WithTimeout(req.Context(), patience)
	defer cancel()
	resp, err := client.Do(req.WithContext(ctx))
	if err != nil {
		return answer{err: err, text: err.Error() + "\n"}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	var lines []string
	for name, values := range resp.Header {
		lines = append(lines, name+": "+strings.Join(values, ", ")+"\n")
	}
	slices.Sort(lines)
	text := fmt.Sprintf("HTTP %d\n%s\n%s\n", resp.StatusCode, strings.Join(lines, ""), body)
	if err != nil {
		text += "body cut off: " + err.Error() + "\n"
	}
	return answer{text: text, status: resp.StatusCode, err: err}
}

// leave reads the beginning of an answer and closes the connection.
func leave(url string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.ReadFull(resp.Body, make([]byte, 1024))
	return err
}

const untilUsage = `usage:
	until PATTERN METHOD URL [...]    asks until the answer matches, as by http
	until PATTERN FILE                waits until the file matches`

// cmdUntil waits for something to be so.
func cmdUntil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf(untilUsage)
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	ts.Check(eventually(func() error {
		var text string
		if len(args) == 2 {
			text = ts.ReadFile(args[1])
		} else {
			req, err := newRequest(ts, args[1:])
			if err != nil {
				return err
			}
			text = ask(req).text
		}
		if !pattern.MatchString(text) {
			return fmt.Errorf("no match for %q in:\n%s", args[0], text)
		}
		return nil
	}))
}

// cmdStat waits until a number, word or truth in /v1/stats is as said:
// stat PATH ==|!=|>=|<= VALUE. A path is dotted; a seat is found by its name.
func cmdStat(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: stat PATH ==|!=|>=|<= VALUE")
	}
	ts.Check(eventually(func() error {
		document, err := stats(ts.Getenv("ADMIN"))
		if err != nil {
			return err
		}
		got, err := at(document, args[0])
		if err != nil {
			return err
		}
		if !holds(got, args[1], args[2]) {
			return fmt.Errorf("%s is %v, want %s %s", args[0], got, args[1], args[2])
		}
		return nil
	}))
}

// stats reads /v1/stats with the seats by name.
func stats(admin string) (map[string]any, error) {
	req, err := http.NewRequest(http.MethodGet, admin+"/v1/stats", nil)
	if err != nil {
		return nil, err
	}
	a := ask(req)
	_, body, _ := strings.Cut(a.text, "\n\n")
	var document map[string]any
	if err := json.Unmarshal([]byte(body), &document); err != nil {
		return nil, fmt.Errorf("%w in %s", err, a.text)
	}
	seats := map[string]any{}
	for _, s := range document["seats"].([]any) {
		seats[s.(map[string]any)["seat"].(string)] = s
	}
	document["seats"] = seats
	return document, nil
}

// at finds the value at a dotted path.
func at(document any, path string) (any, error) {
	for _, name := range strings.Split(path, ".") {
		fields, _ := document.(map[string]any)
		value, ok := fields[name]
		if !ok {
			return nil, fmt.Errorf("%s: there is no %s", path, name)
		}
		document = value
	}
	return document, nil
}

func holds(got any, op, want string) bool {
	if op == "==" || op == "!=" {
		return (fmt.Sprint(got) == want) == (op == "==")
	}
	n, ok := got.(float64)
	limit, err := strconv.ParseFloat(want, 64)
	if !ok || err != nil {
		return false
	}
	return op == ">=" && n >= limit || op == "<=" && n <= limit
}
