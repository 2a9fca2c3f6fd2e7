package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"
)

// help prints the help of the command that args name below group.
func help(ctx context.Context, e *env, group command, path string, args []string) int {
	for len(args) > 0 && group.run == nil {
		c, ok := find(group, args[0])
		if !ok {
			return e.unknownCommand(group, path, args[0])
		}
		path, group, args = join(path, args[0]), c, args[1:]
	}
	if group.run == nil {
		printGroup(e.stdout, group, path)
		return exitOK
	}
	e.path, e.usage = path, group.usage
	return group.run(ctx, e, []string{"--help"})
}

// unknownCommand reports a name that is not in the table.
func (e *env) unknownCommand(group command, path, name string) int {
	what := "perfopt"
	if path != "" {
		what += " " + path
	}
	if strings.HasPrefix(name, "-") {
		e.notef("%s: unknown flag %s; flags stand after the command; see: %s help", what, name, what)
		return exitUsage
	}
	var known []string
	for _, c := range group.group {
		known = append(known, c.name)
	}
	hint := fmt.Sprintf("see: %s help", what)
	if near := nearest(name, known); near != "" {
		hint = fmt.Sprintf("did you mean %q?", what+" "+near)
	}
	e.notef("%s: unknown command %q; %s", what, name, hint)
	return exitUsage
}

// printGroup lists the commands of a group.
func printGroup(w io.Writer, group command, path string) {
	prefix := "perfopt"
	if path == "" {
		fmt.Fprint(w, "perfopt writes, tests and compares policies, and talks to a running perfoptd.\n\n")
	} else {
		prefix += " " + path
		fmt.Fprintf(w, "%s: %s\n\n", prefix, group.summary)
	}
	fmt.Fprintf(w, "usage: %s COMMAND\n\ncommands:\n", prefix)
	rows := leaves(group, path)
	width := 0
	for _, c := range rows {
		width = max(width, len(c.name))
	}
	for _, c := range rows {
		fmt.Fprintf(w, "  %-*s  %s\n", width, c.name, c.summary)
	}
	fmt.Fprintf(w, "\n\"%s help COMMAND\" explains one of them.\n", prefix)
	if path == "" {
		fmt.Fprint(w, "exit codes: 0 done, 1 the answer is no, 2 the call was wrong, 3 inconclusive\n")
	}
}

// leaves returns the commands below a group that run, named by the words that
// follow the group's own.
func leaves(group command, path string) []command {
	var out []command
	for _, c := range group.group {
		if c.run != nil {
			out = append(out, c)
			continue
		}
		for _, l := range leaves(c, path) {
			l.name = c.name + " " + l.name
			out = append(out, l)
		}
	}
	return out
}

// printCommand prints a command's usage and its flags.
func printCommand(w io.Writer, f *flags) {
	fmt.Fprintf(w, "usage: perfopt %s\n", strings.TrimSpace(f.env.usage))
	var rows [][2]string
	width := 0
	f.VisitAll(func(x *flag.Flag) {
		value, doc := flag.UnquoteUsage(x)
		name := "--" + x.Name
		if value != "" {
			name += " " + value
		}
		switch x.DefValue {
		case "", "false", "0", "0s":
		default:
			doc += " (default " + x.DefValue + ")"
		}
		rows = append(rows, [2]string{name, doc})
		width = max(width, len(name))
	})
	if len(rows) > 0 {
		fmt.Fprint(w, "\nflags:\n")
	}
	for _, r := range rows {
		fmt.Fprintf(w, "  %-*s  %s\n", width, r[0], strings.ReplaceAll(r[1], "\n", "\n"+strings.Repeat(" ", width+4)))
	}
}
