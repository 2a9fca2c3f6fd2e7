package main

import (
	"encoding/json"
	"fmt"
	"io"
)

// env is what a command may touch of the world around it.
type env struct {
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	getenv func(string) string

	path  string // the command that runs, such as "policy new"
	usage string // its usage text
	json  bool   // --json was given: results are one JSON document

	flagsSeen func(*flags) // called instead of printing help; completion collects flags by it
}

// printf prints a part of a result.
func (e *env) printf(format string, args ...any) { fmt.Fprintf(e.stdout, format, args...) }

// notef prints a message that is not part of the result.
func (e *env) notef(format string, args ...any) { fmt.Fprintf(e.stderr, format+"\n", args...) }

// printJSON prints v as the command's one JSON document.
func (e *env) printJSON(v any) {
	enc := json.NewEncoder(e.stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		e.notef("perfopt %s: printing the result: %v", e.path, err)
	}
}

// wrong reports that the call was wrong or could not be carried out.
func (e *env) wrong(err error) int {
	e.notef("perfopt %s: %v", e.path, err)
	return exitUsage
}

// no reports that the answer is no.
func (e *env) no(err error) int {
	e.notef("perfopt %s: %v", e.path, err)
	return exitNo
}
