package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/perfopt/perfopt/internal/terminal"
	"github.com/perfopt/perfopt/policies"
)

// seat is what the daemon says about one seat.
type seat struct {
	Seat    string          `json:"seat"`
	Name    string          `json:"name"`
	Version string          `json:"version"`
	Digest  string          `json:"digest"`
	Source  string          `json:"source"`
	Since   time.Time       `json:"since"`
	Calls   int64           `json:"calls"`
	Faults  json.RawMessage `json:"faults"` // a number, or numbers by reason
	State   string          `json:"state"`
}

const policyListUsage = `policy list

Lists the seats of a running daemon: which policy sits in each, since when, how
often it was asked and how often its answer could not be used.`

func policyListCommand(ctx context.Context, e *env, args []string) int {
	fs := e.flags().withJSON()
	address := fs.withAdmin()
	if _, code, ok := fs.parse(args, 0, 0); !ok {
		return code
	}
	body, code := e.call(ctx, *address, request{method: http.MethodGet, path: "/v1/policies"})
	if body == nil {
		return code
	}
	var list struct {
		Seats []seat `json:"seats"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return e.wrong(fmt.Errorf("the daemon's answer is not a list of seats: %w", err))
	}
	if e.json {
		return e.printDocument(body)
	}
	var t terminal.Table
	t.Row("SEAT", "POLICY", "VERSION", "FROM", "SINCE", "CALLS", "FAULTS", "STATE", "DIGEST")
	for _, s := range list.Seats {
		t.Row(s.Seat, s.Name, dash(s.Version), s.Source, since(s.Since),
			terminal.Count(s.Calls), terminal.Count(faults(s.Faults)), s.State, dash(short(s.Digest)))
	}
	return e.printTable(&t)
}

const policyPushUsage = `policy push SEAT FILE.wasm|REF

Puts a policy into a seat of a running daemon: a module from a file, or a
reference that the daemon knows, such as builtin:lru, shipped:NAME or
sha256:HEX. The daemon tries a module before it exchanges it; no request waits
or fails. A push outlives a restart.

SEAT is eviction, ttl, prefetch or scaling, or eviction@NAME for the cache NAME.
Exit code 1 means that the daemon refused the policy, 2 that the call was wrong.`

func policyPushCommand(ctx context.Context, e *env, args []string) int {
	fs := e.flags().withJSON()
	address := fs.withAdmin()
	config := fs.String("config", "", "the policy's settings: a JSON `FILE`, or the JSON itself")
	why := fs.String("why", "", "`TEXT` for the seat's history")
	rest, code, ok := fs.parse(args, 2, 2)
	if !ok {
		return code
	}
	path, err := seatPath(rest[0])
	if err != nil {
		return e.wrong(err)
	}
	settings, err := readConfig(*config)
	if err != nil {
		return e.wrong(err)
	}
	call, err := pushRequest(rest[1], settings)
	if err != nil {
		return e.wrong(err)
	}
	call.path, call.why = path, *why
	progress := terminal.Start(e.stderr, terminal.IsTerminal(e.stderr), "the daemon compiles and tries "+rest[1])
	defer progress.Stop()
	body, code := e.call(ctx, *address, call)
	progress.Stop()
	if body == nil {
		return code
	}
	return e.printSeat(rest[0], body)
}

const policyRollbackUsage = `policy rollback SEAT

Returns a seat of a running daemon to the policy that it held before. Exit code
1 means that there is none.`

func policyRollbackCommand(ctx context.Context, e *env, args []string) int {
	fs := e.flags().withJSON()
	address := fs.withAdmin()
	rest, code, ok := fs.parse(args, 1, 1)
	if !ok {
		return code
	}
	path, err := seatPath(rest[0])
	if err != nil {
		return e.wrong(err)
	}
	body, code := e.call(ctx, *address, request{method: http.MethodPost, path: path + "/rollback", contentType: "application/json"})
	if body == nil {
		return code
	}
	return e.printSeat(rest[0], body)
}

const policyHistoryUsage = `policy history SEAT

Lists what a seat of a running daemon held, the newest first: when, from where,
which policy, who put it there and why.`

func policyHistoryCommand(ctx context.Context, e *env, args []string) int {
	fs := e.flags().withJSON()
	address := fs.withAdmin()
	rest, code, ok := fs.parse(args, 1, 1)
	if !ok {
		return code
	}
	path, err := seatPath(rest[0])
	if err != nil {
		return e.wrong(err)
	}
	body, code := e.call(ctx, *address, request{method: http.MethodGet, path: path + "/history"})
	if body == nil {
		return code
	}
	var list struct {
		History []struct {
			At                         time.Time
			Source, Name, Version, Use string
			Digest, Who, Why           string
			Bad                        bool
		}
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return e.wrong(fmt.Errorf("the daemon's answer is not a history: %w", err))
	}
	if e.json {
		return e.printDocument(body)
	}
	var t terminal.Table
	t.Row("WHEN", "FROM", "POLICY", "VERSION", "DIGEST", "WHO", "WHY")
	for _, h := range list.History {
		why := h.Why
		if h.Bad {
			why = strings.TrimPrefix(why+"; quarantined", "; ")
		}
		t.Row(h.At.Local().Format("2006-01-02 15:04:05"), h.Source, cmp.Or(h.Name, h.Use), dash(h.Version), dash(short(h.Digest)), dash(h.Who), why)
	}
	return e.printTable(&t)
}

// call makes one call of the admin API; without a body the command is over and
// returns code. 409, 413 and 422 are the daemon's no.
func (e *env) call(ctx context.Context, address string, call request) (body json.RawMessage, code int) {
	c, err := e.admin(address)
	if err != nil {
		return nil, e.wrong(err)
	}
	body, err = c.do(ctx, call)
	if err != nil {
		return nil, e.failed(err, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity)
	}
	return body, exitOK
}

// printSeat says what a seat holds after a change.
func (e *env) printSeat(name string, body json.RawMessage) int {
	if e.json {
		return e.printDocument(body)
	}
	var s seat
	if err := json.Unmarshal(body, &s); err != nil || s.Name == "" {
		return e.wrong(errors.New("the daemon's answer is not a seat: run: perfopt policy list"))
	}
	e.printf("%s holds %s", cmp.Or(s.Seat, name), strings.TrimSpace(s.Name+" "+s.Version))
	if s.Digest != "" {
		e.printf(" (sha256 %s)", short(s.Digest))
	}
	e.printf("\n")
	return exitOK
}

func seatPath(name string) (string, error) {
	if _, _, err := policies.ParseSeat(name); err != nil {
		return "", err
	}
	return "/v1/policies/" + url.PathEscape(name), nil
}

// readConfig reads settings from a file, or from the text itself where it is
// an object; nil where none are given.
func readConfig(arg string) (map[string]any, error) {
	if arg == "" {
		return nil, nil
	}
	text := []byte(arg)
	if !strings.HasPrefix(strings.TrimSpace(arg), "{") {
		var err error
		if text, err = os.ReadFile(arg); err != nil {
			return nil, fmt.Errorf("--config: %w", err)
		}
	}
	var settings map[string]any
	if err := json.Unmarshal(text, &settings); err != nil {
		return nil, fmt.Errorf("--config %s: want a JSON object: %w", arg, err)
	}
	return settings, nil
}

// pushRequest makes the body of a push: of a module where what is a file, of a
// reference otherwise.
func pushRequest(what string, settings map[string]any) (request, error) {
	if !strings.HasSuffix(what, ".wasm") {
		if !strings.Contains(what, ":") {
			return request{}, fmt.Errorf("%q is neither a .wasm file nor a reference such as builtin:lru", what)
		}
		body, err := json.Marshal(struct {
			Use    string         `json:"use"`
			Config map[string]any `json:"config,omitempty"`
		}{what, settings})
		return request{method: http.MethodPut, contentType: "application/json", body: body}, err
	}
	module, err := os.ReadFile(what)
	if err != nil {
		return request{}, err
	}
	if settings == nil {
		return request{method: http.MethodPut, contentType: "application/wasm", body: module}, nil
	}
	text, err := json.Marshal(settings)
	if err != nil {
		return request{}, err
	}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for _, part := range []struct {
		name, contentType string
		data              []byte
	}{{"module", "application/wasm", module}, {"config", "application/json", text}} {
		h := textproto.MIMEHeader{}
		h.Set("Content-Disposition", fmt.Sprintf("form-data; name=%q", part.name))
		h.Set("Content-Type", part.contentType)
		w, err := form.CreatePart(h)
		if err != nil {
			return request{}, err
		}
		if _, err := w.Write(part.data); err != nil {
			return request{}, err
		}
	}
	if err := form.Close(); err != nil {
		return request{}, err
	}
	return request{method: http.MethodPut, contentType: form.FormDataContentType(), body: body.Bytes()}, nil
}

// faults adds up what the daemon counts: one number, or one for each reason.
func faults(raw json.RawMessage) int64 {
	var n int64
	if json.Unmarshal(raw, &n) == nil {
		return n
	}
	var byReason map[string]int64
	if json.Unmarshal(raw, &byReason) == nil {
		for _, k := range byReason {
			n += k
		}
	}
	return n
}

func since(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return terminal.Age(time.Since(t))
}

// short is a digest as people compare it.
func short(digest string) string { return digest[:min(12, len(digest))] }

func dash(s string) string { return cmp.Or(s, "-") }
