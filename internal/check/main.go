// Command check runs every test of this repository, in all of its modules, and
// says at the end what passed, what failed and what was skipped and why. It is
// the README's second command:
//
//	go run ./internal/check
//
// Flags: -timeout bounds the tests of a package, -race=false leaves the race detector out (it needs a C compiler),
// -strict makes a skipped test a failure (continuous integration), -run and
// further arguments choose tests and packages of the main module.
//
// It must not know what is tested: it runs the go command and reads its JSON
// events. Where something that some tests need is missing (redis-server, a
// browser, a C compiler), it says so before it starts and how to get it; the
// tests that need it skip and are listed.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	race := flag.Bool("race", true, "run with the race detector")
	strict := flag.Bool("strict", false, "a skipped test is a failure")
	run := flag.String("run", "", "run only tests that match this regular expression")
	timeout := flag.String("timeout", "", "bound for the tests of a package (default 20m)")
	flag.Parse()
	c := &check{race: *race, run: *run, timeout: cmp.Or(*timeout, "20m"), packages: flag.Args()}
	c.lookForNeighbours()
	for _, module := range modules() {
		c.test(module)
	}
	os.Exit(c.report(*strict))
}

// modules lists the folders with a go.mod whose tests need no other download
// than the main module's.
func modules() []string {
	all := []string{"."}
	for _, dir := range []string{"sdk/go", "policies/src/go", "docs/examples/embed"} {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			all = append(all, dir)
		}
	}
	return all
}

type check struct {
	race     bool
	run      string
	timeout  string
	packages []string

	passed, failed, skipped int
	failures                []string
	skips                   []string
}

// neighbours are the programs that some tests talk to.
var neighbours = []struct {
	purpose, how string
	names        []string
}{
	{"tests of the second tier run against a real Redis", "apt-get install redis-server", []string{"redis-server"}},
	{"the page is tested in a real browser", "apt-get install chromium", []string{"chromium", "chromium-browser", "google-chrome"}},
}

func (c *check) lookForNeighbours() {
	for _, n := range neighbours {
		if !slices.ContainsFunc(n.names, onPath) {
			fmt.Printf("note: %s is not on PATH: %s; those tests will be skipped (%s)\n", n.names[0], n.purpose, n.how)
		}
	}
	if c.race && !onPath("gcc") && !onPath("clang") && os.Getenv("CC") == "" {
		fmt.Println("note: there is no C compiler: the race detector needs one, so tests run without it (apt-get install gcc)")
		c.race = false
	}
}

func onPath(name string) bool {
	_, err := exec.LookPath(name)
	return err == nil
}

// event is one line of go test -json.
type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
	ImportPath                    string
}

func (c *check) test(module string) {
	args := []string{"test", "-json", "-timeout", c.timeout}
	if c.race {
		args = append(args, "-race")
	}
	if c.run != "" {
		args = append(args, "-run", c.run)
	}
	if module == "." && len(c.packages) > 0 {
		args = append(args, c.packages...)
	} else {
		args = append(args, "./...")
	}
	start := time.Now()
	fmt.Printf("\n%s: go %s\n", module, strings.Join(args, " "))
	cmd := exec.Command("go", args...)
	cmd.Dir = module
	cmd.Env = os.Environ()
	if module != "." {
		cmd.Env = append(cmd.Env, "GOFLAGS=-mod=mod")
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		c.fail(module, "the go command cannot be started: "+err.Error())
		return
	}
	before := c.failed
	c.read(module, out)
	if err := cmd.Wait(); err != nil && c.failed == before {
		c.fail(module, err.Error())
	}
	fmt.Printf("%s: done in %s\n", module, time.Since(start).Round(time.Second))
}

func (c *check) fail(what, why string) {
	c.failed++
	c.failures = append(c.failures, what+"\n"+why)
}

// read counts the events and keeps the output of what fails or is skipped.
func (c *check) read(module string, events io.Reader) {
	output := map[string][]string{}
	lines := bufio.NewScanner(events)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Println(lines.Text())
			continue
		}
		key := e.Package + " " + e.Test
		switch e.Action {
		case "output":
			output[key] = append(output[key], e.Output)
		case "build-output":
			output[e.ImportPath] = append(output[e.ImportPath], e.Output)
		case "build-fail":
			c.fail("build of "+e.ImportPath, strings.Join(output[e.ImportPath], ""))
		case "pass":
			if e.Test != "" {
				c.passed++
			} else {
				fmt.Printf("  ok    %-60s %6.1fs\n", short(e.Package), e.Elapsed)
			}
			delete(output, key)
		case "skip":
			if e.Test != "" {
				c.skipped++
				c.skips = append(c.skips, short(e.Package)+" "+e.Test+": "+reason(output[key]))
			}
			delete(output, key)
		case "fail":
			text := strings.Join(output[key], "")
			if e.Test == "" {
				fmt.Printf("  FAIL  %-60s %6.1fs\n", short(e.Package), e.Elapsed)
				if !strings.Contains(text, "[build failed]") && !c.hasFailure(short(e.Package)) {
					c.fail(short(e.Package), text)
				}
				continue
			}
			c.fail(short(e.Package)+" "+e.Test, text)
		}
	}
	if err := lines.Err(); err != nil {
		c.fail(module, err.Error())
	}
}

func (c *check) hasFailure(pkg string) bool {
	return slices.ContainsFunc(c.failures, func(f string) bool { return strings.HasPrefix(f, pkg+" ") })
}

func short(pkg string) string {
	if rest, ok := strings.CutPrefix(pkg, "github.com/perfopt/perfopt/"); ok {
		return rest
	}
	return pkg
}

// reason is what the test said when it skipped.
func reason(output []string) string {
	for _, line := range output {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "===") || strings.HasPrefix(line, "---") {
			continue
		}
		if _, after, ok := strings.Cut(line, ".go:"); ok {
			_, line, _ = strings.Cut(after, ": ")
		}
		return line
	}
	return "no reason given"
}

func (c *check) report(strict bool) int {
	for _, f := range c.failures {
		fmt.Printf("\nFAILED: %s\n", f)
	}
	if len(c.skips) > 0 {
		fmt.Println("\nskipped:")
		for _, s := range c.skips {
			fmt.Println("  " + s)
		}
	}
	fmt.Printf("\n%d passed, %d failed, %d skipped\n", c.passed, c.failed, c.skipped)
	if c.failed > 0 || strict && c.skipped > 0 || c.passed == 0 {
		return 1
	}
	return 0
}
