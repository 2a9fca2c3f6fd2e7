// Command perfopt is the tool beside the daemon: it writes, builds and tests
// policies, replays traces through the real cache, and talks to a running
// perfoptd.
//
// The package is a table of commands (see commands) and one file for each of
// them. A command parses its own flags, calls the packages that know, and
// prints: a result goes to standard output, as text for people or as one JSON
// document with --json; messages and progress go to standard error.
//
// Exit codes are a contract: 0 done, 1 the answer is no (a gate failed, a
// policy was refused), 2 the call was wrong or could not be carried out, 3
// inconclusive.
//
// It must not know how a policy decides or how a module is loaded: whatever it
// prints was computed by a package that a Go program could have called.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// The exit codes of every command.
const (
	exitOK           = 0 // done
	exitNo           = 1 // the answer is no
	exitUsage        = 2 // the call was wrong or could not be carried out
	exitInconclusive = 3 // there is no answer yet
)

// command is one entry of the table: either a command that runs or a group of
// commands.
type command struct {
	name    string // one word
	summary string // one line for the list of commands
	usage   string // what help shows: the synopsis without "perfopt", an empty line, prose; flags are listed below it by themselves
	run     func(ctx context.Context, e *env, args []string) int
	group   []command // the commands of a group; run is nil then
}

// commands returns the table of everything the tool can do, in the order in
// which help lists it.
func commands() []command {
	return []command{
		{name: "policy", summary: "write and test policies; show and change those of a running daemon", group: []command{
			{name: "new", summary: "write the beginnings of a policy", usage: policyNewUsage, run: policyNewCommand},
			{name: "build", summary: "build a policy to a WebAssembly module", usage: policyBuildUsage, run: policyBuildCommand},
			{name: "test", summary: "check a module in the sandbox, and replay a sample trace", usage: policyTestUsage, run: policyTestCommand},
			{name: "inspect", summary: "show what a module says of itself and asks for", usage: policyInspectUsage, run: policyInspectCommand},
			{name: "list", summary: "list the seats of a running daemon", usage: policyListUsage, run: policyListCommand},
			{name: "push", summary: "put a policy into a seat", usage: policyPushUsage, run: policyPushCommand},
			{name: "rollback", summary: "return a seat to the policy it held before", usage: policyRollbackUsage, run: policyRollbackCommand},
			{name: "history", summary: "list what a seat held", usage: policyHistoryUsage, run: policyHistoryCommand},
		}},
		{name: "cache", summary: "look into the caches of a running daemon", group: []command{
			{name: "patterns", summary: "show how keys are used", usage: cachePatternsUsage, run: cachePatternsCommand},
			{name: "top", summary: "list the most used entries", usage: cacheTopUsage, run: cacheTopCommand},
			{name: "explain", summary: "tell what a cache knows about a key", usage: cacheExplainUsage, run: cacheExplainCommand},
		}},
		{name: "replay", summary: "replay a trace through the cache under several policies", usage: replayUsage, run: replayCommand},
		{name: "ab", summary: "compare two policies", group: []command{
			{name: "replay", summary: "compare two policies on a trace", usage: abReplayUsage, run: abReplayCommand},
		}},
		{name: "completion", summary: "print a shell's completion script", usage: completionUsage, run: completionCommand},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, &env{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv}, os.Args[1:])
	stop()
	os.Exit(code)
}

// run executes one command line and returns its exit code.
func run(ctx context.Context, e *env, args []string) int {
	return dispatch(ctx, e, command{group: commands()}, "", args)
}

// dispatch walks from a group to the command that args name and runs it. path
// is what was walked so far, such as "policy".
func dispatch(ctx context.Context, e *env, group command, path string, args []string) int {
	if len(args) == 0 {
		printGroup(e.stderr, group, path)
		return exitUsage
	}
	name, rest := args[0], args[1:]
	switch name {
	case "help", "-h", "-help", "--help":
		return help(ctx, e, group, path, rest)
	}
	c, ok := find(group, name)
	if !ok {
		return e.unknownCommand(group, path, name)
	}
	path = join(path, name)
	if c.run == nil {
		return dispatch(ctx, e, c, path, rest)
	}
	e.path, e.usage = path, c.usage
	return c.run(ctx, e, rest)
}

func find(group command, name string) (command, bool) {
	for _, c := range group.group {
		if c.name == name {
			return c, true
		}
	}
	return command{}, false
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + " " + name
}
