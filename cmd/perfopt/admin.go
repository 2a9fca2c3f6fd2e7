package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	defaultAdmin = "http://127.0.0.1:8081"
	adminTimeout = 60 * time.Second // compiling a large module takes the daemon a second or two
	adminMaxBody = 16 << 20         // more than any answer of the API
)

// adminClient talks to the admin API of a daemon.
type adminClient struct {
	base  string // without slash at its end
	token string
	http  *http.Client
}

// adminError is an answer that says no.
type adminError struct {
	status  int
	message string
}

func (e *adminError) Error() string { return e.message }

// withAdmin adds --admin.
func (f *flags) withAdmin() *string {
	byDefault := f.env.getenv("PERFOPT_ADMIN")
	if byDefault == "" {
		byDefault = defaultAdmin
	}
	return f.String("admin", byDefault, "`URL` of the daemon's admin API; also PERFOPT_ADMIN")
}

// admin returns a client for the daemon at that address. The token comes from
// PERFOPT_ADMIN_TOKEN, where it shows in no list of processes.
func (e *env) admin(address string) (*adminClient, error) {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("--admin %q: want a URL such as %s", address, defaultAdmin)
	}
	return &adminClient{
		base:  strings.TrimRight(u.String(), "/"),
		token: e.getenv("PERFOPT_ADMIN_TOKEN"),
		http: &http.Client{Timeout: adminTimeout, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // the token goes to the address given, nowhere else
		}},
	}, nil
}

// request is one call of the API.
type request struct {
	method      string
	path        string
	contentType string // "" without body
	body        []byte
	why         string // for the seat's history
}

// do makes a call and returns the JSON document that the daemon answered.
func (c *adminClient) do(ctx context.Context, call request) (json.RawMessage, error) {
	req, err := http.NewRequestWithContext(ctx, call.method, c.base+call.path, bytes.NewReader(call.body))
	if err != nil {
		return nil, err
	}
	if call.contentType != "" {
		req.Header.Set("Content-Type", call.contentType)
	}
	if call.why != "" {
		req.Header.Set("Perfopt-Why", call.why)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var cause *url.Error
		if errors.As(err, &cause) {
			err = cause.Err
		}
		return nil, fmt.Errorf("no daemon answers at %s (%w): start perfoptd, or say where it is with --admin or PERFOPT_ADMIN", c.base, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, adminMaxBody+1))
	if err != nil {
		return nil, fmt.Errorf("%s: reading the answer: %w", c.base, err)
	}
	if len(body) > adminMaxBody || !json.Valid(body) {
		return nil, fmt.Errorf("%s answered %s, and not with JSON: is that a perfoptd admin address?", c.base, resp.Status)
	}
	if resp.StatusCode >= 300 {
		return nil, c.refused(resp, body)
	}
	return body, nil
}

func (c *adminClient) refused(resp *http.Response, body []byte) error {
	var answer struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.Error == "" {
		answer.Error = c.base + " answered " + resp.Status
	}
	if resp.StatusCode == http.StatusUnauthorized {
		answer.Error += " (set PERFOPT_ADMIN_TOKEN)"
	}
	return &adminError{status: resp.StatusCode, message: answer.Error}
}

// failed ends a command whose call failed: statuses in no mean that the
// daemon's answer is no; everything else, that the call was wrong.
func (e *env) failed(err error, no ...int) int {
	var answer *adminError
	if errors.As(err, &answer) {
		for _, status := range no {
			if answer.status == status {
				return e.no(err)
			}
		}
	}
	return e.wrong(err)
}
