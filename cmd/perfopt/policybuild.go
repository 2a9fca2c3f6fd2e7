package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/perfopt/perfopt/internal/terminal"
)

const policyBuildUsage = `policy build DIR

Builds the policy in a folder to a WebAssembly module, and prints the module's
size and digest. A folder with a policy.c is built by clang and wasm-ld (14 or
newer), one in a Go module by the plain Go toolchain (1.24 or newer); what is
missing is said with how to get it. The same sources and toolchain give the same
digest. Exit code 1 means that it does not compile.`

func policyBuildCommand(ctx context.Context, e *env, args []string) int {
	fs := e.flags().withJSON()
	out := fs.String("o", "", "`FILE` to write (default DIR/NAME.wasm, NAME being the folder's name)")
	rest, code, ok := fs.parse(args, 1, 1)
	if !ok {
		return code
	}
	dir := rest[0]
	if *out == "" {
		*out = output(dir)
	}
	file, err := filepath.Abs(*out)
	if err != nil {
		return e.wrong(err)
	}
	steps, clean, err := buildSteps(ctx, dir, file)
	if err != nil {
		return e.wrong(err)
	}
	defer clean()
	progress := terminal.Start(e.stderr, terminal.IsTerminal(e.stderr), "building "+dir)
	defer progress.Stop()
	for _, step := range steps {
		messages, err := step.CombinedOutput()
		if err != nil {
			progress.Stop()
			e.notef("%s", strings.TrimRight(string(messages), "\n"))
			return e.no(fmt.Errorf("%s does not build (%w)", dir, err))
		}
	}
	progress.Stop()
	module, err := os.ReadFile(file)
	if err != nil {
		return e.wrong(err)
	}
	sum := sha256.Sum256(module)
	digest := hex.EncodeToString(sum[:])
	if e.json {
		e.printJSON(struct {
			File   string `json:"file"`
			Bytes  int    `json:"bytes"`
			Digest string `json:"sha256"`
		}{*out, len(module), digest})
		return exitOK
	}
	e.printf("%s  %s  sha256 %s\n", *out, terminal.Bytes(int64(len(module))), digest)
	return exitOK
}

// buildSteps returns the commands that build the policy in dir to a file, in the
// language that the folder's files are in, and what removes their leavings.
func buildSteps(ctx context.Context, dir, file string) (steps []*exec.Cmd, clean func(), err error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, nil, fmt.Errorf("%s is not a folder: give the one that \"perfopt policy new\" wrote", dir)
	}
	if _, err := os.Stat(filepath.Join(dir, "policy.c")); err == nil {
		return cSteps(ctx, dir, file)
	}
	tool, err := goToolchain(ctx, dir)
	if err != nil {
		return nil, nil, err
	}
	build := exec.CommandContext(ctx, tool, "build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", file, ".")
	build.Dir = dir
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	return []*exec.Cmd{build}, func() {}, nil
}

// cSteps compiles and links apart: clang that links runs whatever wasm-opt it
// finds, and some of those do not know the instructions.
func cSteps(ctx context.Context, dir, file string) (steps []*exec.Cmd, clean func(), err error) {
	clang, err1 := exec.LookPath("clang")
	linker, err2 := exec.LookPath("wasm-ld")
	if err1 != nil || err2 != nil {
		return nil, nil, errors.New("clang and wasm-ld are needed for a policy in C and are not both in PATH: install LLVM 14 or newer (Debian: apt-get install clang lld)")
	}
	object, err := os.CreateTemp("", "policy-*.o")
	if err != nil {
		return nil, nil, err
	}
	object.Close()
	compile := exec.CommandContext(ctx, clang, "--target=wasm32", "-std=c11", "-O3", "-ffreestanding", "-mbulk-memory", "-ffp-contract=off",
		"-Wall", "-Wextra", "-I", "sdk", "-c", "policy.c", "-o", object.Name())
	compile.Dir = dir
	link := exec.CommandContext(ctx, linker, "--no-entry", "--strip-all", "-z", "stack-size=65536", object.Name(), "-o", file)
	link.Dir = dir
	return []*exec.Cmd{compile, link}, func() { os.Remove(object.Name()) }, nil
}

// goToolchain finds a Go toolchain that can build the policy in dir, or says
// what is missing.
func goToolchain(ctx context.Context, dir string) (string, error) {
	tool, err := exec.LookPath("go")
	if err != nil {
		return "", errors.New("the Go toolchain is missing: install Go 1.24 or newer from https://go.dev/dl or your system's packages, and see that \"go\" is in PATH")
	}
	ask := exec.CommandContext(ctx, tool, "env", "GOVERSION", "GOMOD")
	ask.Dir = dir
	text, err := ask.Output()
	if err != nil {
		return "", fmt.Errorf("%s env GOVERSION: %w", tool, err)
	}
	version, module, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	if !atLeast(version, 1, 24) {
		return "", fmt.Errorf("%s is %s: want Go 1.24 or newer (https://go.dev/dl), which can export functions from a module", tool, version)
	}
	if module == "" || module == os.DevNull {
		return "", fmt.Errorf("%s is in no Go module (no go.mod): give the folder that \"perfopt policy new\" wrote", dir)
	}
	return tool, nil
}

// atLeast compares a version such as "go1.26.8"; one it cannot read (a
// development build) passes.
func atLeast(version string, major, minor int) bool {
	parts := strings.SplitN(strings.TrimPrefix(version, "go"), ".", 3)
	if len(parts) < 2 {
		return true
	}
	a, err1 := strconv.Atoi(parts[0])
	b, err2 := strconv.Atoi(digits(parts[1])) // "26rc1" is 26
	if err1 != nil || err2 != nil {
		return true
	}
	return a > major || a == major && b >= minor
}

// digits returns the digits that s starts with.
func digits(s string) string {
	for i, r := range s {
		if r < '0' || r > '9' {
			return s[:i]
		}
	}
	return s
}
