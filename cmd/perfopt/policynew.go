package main

import (
	"context"
	"path/filepath"

	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/sdk/scaffold"
)

const policyNewUsage = `policy new NAME --kind KIND

Writes the beginnings of a policy to a folder: source, test, README, and a copy
of the SDK, so that it builds and tests without downloading anything.

KIND is eviction, ttl, prefetch or scaling. An eviction policy either scores a
sample of the entries (--form score, ten lines) or keeps an order of all of them
(--form order, for policies such as LRU).`

func policyNewCommand(_ context.Context, e *env, args []string) int {
	fs := e.flags().withJSON()
	kind := fs.String("kind", "", "what the policy decides: `KIND` is eviction, ttl, prefetch or scaling")
	form := fs.String("form", "", "`FORM` of an eviction policy: score (the default) or order")
	language := fs.String("lang", "go", "`LANGUAGE` of the policy: go or c")
	dir := fs.String("dir", "", "`FOLDER` to write (default NAME)")
	rest, code, ok := fs.parse(args, 1, 1)
	if !ok {
		return code
	}
	o := scaffold.Options{Name: rest[0], Kind: policies.Kind(*kind), Form: scaffold.Form(*form), Language: *language, Dir: *dir}
	if err := o.Validate(); err != nil {
		return e.wrong(err)
	}
	files, err := scaffold.New(o)
	if err != nil {
		return e.wrong(err)
	}
	if e.json {
		e.printJSON(struct {
			Name  string        `json:"name"`
			Kind  policies.Kind `json:"kind"`
			Dir   string        `json:"dir"`
			Files []string      `json:"files"`
		}{o.Name, o.Kind, o.Dir, files})
		return exitOK
	}
	e.printf("wrote %s:\n", o.Dir)
	for _, f := range files {
		e.printf("  %s\n", f)
	}
	test := "go -C " + o.Dir + " test ./..."
	if o.Language == "c" {
		test = "(cd " + o.Dir + " && cc -Wall -I sdk -o policy_test policy_test.c && ./policy_test)"
	}
	e.printf("  sdk/\n\nnext:\n  %s\n  perfopt policy build %s\n  perfopt policy test %s\n", test, o.Dir, output(o.Dir))
	return exitOK
}

// output is the module that building a folder writes.
func output(dir string) string {
	name := filepath.Base(dir)
	if abs, err := filepath.Abs(dir); err == nil {
		name = filepath.Base(abs)
	}
	return filepath.Join(dir, name+".wasm")
}
