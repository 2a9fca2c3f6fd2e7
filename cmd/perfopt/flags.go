package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// flags is the flag set of one command. Flags and arguments may be mixed in
// any order; "--" ends the flags.
type flags struct {
	*flag.FlagSet
	env *env
}

// flags returns an empty flag set for the command that runs. Every command
// that prints results adds --json to it with [flags.withJSON].
func (e *env) flags() *flags {
	fs := flag.NewFlagSet(e.path, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	return &flags{FlagSet: fs, env: e}
}

// withJSON adds --json.
func (f *flags) withJSON() *flags {
	f.BoolVar(&f.env.json, "json", false, "print one JSON document")
	return f
}

// parse returns the arguments that are not flags. Where ok is false the
// command is over and returns code: help was asked for, or the call was wrong.
// It accepts from least to most arguments; most < 0 means any number.
func (f *flags) parse(args []string, least, most int) (rest []string, code int, ok bool) {
	for {
		if err := f.FlagSet.Parse(args); err != nil {
			return nil, f.failed(err), false
		}
		tail := f.Args()
		if len(tail) == 0 {
			break
		}
		if used := len(args) - len(tail); used > 0 && args[used-1] == "--" {
			rest = append(rest, tail...)
			break
		}
		rest, args = append(rest, tail[0]), tail[1:]
	}
	switch {
	case len(rest) < least:
		return nil, f.miscounted("too few arguments"), false
	case most >= 0 && len(rest) > most:
		return nil, f.miscounted(fmt.Sprintf("unexpected argument %q", rest[most])), false
	}
	return rest, 0, true
}

// failed ends a call whose flags could not be parsed.
func (f *flags) failed(err error) int {
	e := f.env
	if errors.Is(err, flag.ErrHelp) {
		if e.flagsSeen != nil {
			e.flagsSeen(f)
		} else {
			printCommand(e.stdout, f)
		}
		return exitOK
	}
	name, unknown := strings.CutPrefix(err.Error(), "flag provided but not defined: -")
	if !unknown {
		e.notef("perfopt %s: %v", e.path, err)
		return exitUsage
	}
	var known []string
	f.VisitAll(func(x *flag.Flag) { known = append(known, x.Name) })
	hint := fmt.Sprintf("see: perfopt %s --help", e.path)
	if near := nearest(name, known); near != "" {
		hint = fmt.Sprintf("did you mean --%s?", near)
	}
	e.notef("perfopt %s: unknown flag --%s; %s", e.path, name, hint)
	return exitUsage
}

func (f *flags) miscounted(what string) int {
	synopsis, _, _ := strings.Cut(f.env.usage, "\n")
	f.env.notef("perfopt %s: %s; usage: perfopt %s", f.env.path, what, synopsis)
	return exitUsage
}
