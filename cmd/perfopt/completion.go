package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

const completionUsage = `completion bash|zsh|fish

Prints a script that completes the commands and flags of perfopt.

  bash:  source <(perfopt completion bash)
  zsh:   source <(perfopt completion zsh)
  fish:  perfopt completion fish | source`

// completionCommand prints a completion script, made from the table and from
// the flags that each command declares.
func completionCommand(ctx context.Context, e *env, args []string) int {
	rest, code, ok := e.flags().parse(args, 1, 1)
	if !ok {
		return code
	}
	words := completions(ctx, command{group: commands()}, "")
	switch rest[0] {
	case "bash":
		e.printf("%s", bashScript(words))
	case "zsh":
		e.printf("autoload -U +X bashcompinit && bashcompinit\n%s", bashScript(words))
	case "fish":
		e.printf("%s", fishScript(words))
	default:
		return e.wrong(fmt.Errorf("unknown shell %q: want bash, zsh or fish", rest[0]))
	}
	return exitOK
}

// completion is what may follow some words of a command line.
type completion struct {
	path  string   // the words so far, such as "policy new"; "" at the start
	words []string // what may follow
}

// completions lists what may follow each group and command below group.
func completions(ctx context.Context, group command, path string) []completion {
	c := completion{path: path}
	if group.run != nil {
		probe := &env{stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard,
			getenv: func(string) string { return "" }, path: path, usage: group.usage}
		probe.flagsSeen = func(f *flags) {
			f.VisitAll(func(x *flag.Flag) { c.words = append(c.words, "--"+x.Name) })
		}
		group.run(ctx, probe, []string{"--help"})
		return []completion{c}
	}
	all := []completion{}
	for _, sub := range group.group {
		c.words = append(c.words, sub.name)
		all = append(all, completions(ctx, sub, join(path, sub.name))...)
	}
	if path == "" {
		c.words = append(c.words, "help")
	}
	return slices.Insert(all, 0, c)
}

func bashScript(all []completion) string {
	var b strings.Builder
	b.WriteString(`_perfopt() {
    local cur=${COMP_WORDS[COMP_CWORD]} path= word
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case $word in
            -*) ;;
            *) case "$path $word" in
`)
	for _, c := range all {
		if c.path != "" {
			fmt.Fprintf(&b, "                \" %s\") path=\" %s\" ;;\n", c.path, c.path)
		}
	}
	b.WriteString("            esac ;;\n        esac\n    done\n    local words=\n    case $path in\n")
	for _, c := range all {
		pattern := "\"\""
		if c.path != "" {
			pattern = fmt.Sprintf("\" %s\"", c.path)
		}
		fmt.Fprintf(&b, "        %s) words=\"%s\" ;;\n", pattern, strings.Join(c.words, " "))
	}
	b.WriteString("    esac\n    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\ncomplete -o default -F _perfopt perfopt\n")
	return b.String()
}

func fishScript(all []completion) string {
	var b strings.Builder
	b.WriteString("complete -c perfopt -f\n")
	for _, c := range all {
		condition := "__fish_use_subcommand"
		if c.path != "" {
			condition = ""
			for _, w := range strings.Fields(c.path) {
				condition += "; and __fish_seen_subcommand_from " + w
			}
			condition = strings.TrimPrefix(condition, "; and ")
		}
		for _, w := range c.words {
			if name, isFlag := strings.CutPrefix(w, "--"); isFlag {
				fmt.Fprintf(&b, "complete -c perfopt -n '%s' -l %s\n", condition, name)
			} else {
				fmt.Fprintf(&b, "complete -c perfopt -n '%s' -a %s\n", condition, w)
			}
		}
	}
	return b.String()
}
