package scaffold

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/perfopt/perfopt/policies"
)

// Every scaffold builds, passes its own tests and is formatted and vetted,
// outside of the repository and with every registry out of reach.
func TestScaffoldsBuildAndTestAlone(t *testing.T) {
	for _, o := range []Options{
		{Name: "my-score", Kind: policies.KindEviction},
		{Name: "my.order", Kind: policies.KindEviction, Form: FormOrder},
		{Name: "0ttl", Kind: policies.KindTTL},
		{Name: "prefetch_1", Kind: policies.KindPrefetch},
		{Name: "x_test", Kind: policies.KindScaling},
	} {
		t.Run(o.Name, func(t *testing.T) {
			t.Parallel()
			o.Dir = filepath.Join(t.TempDir(), o.Name)
			files, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			if want := []string{"policy.go", "policy_test.go", "go.mod", "README.md", ".gitignore"}; !slices.Equal(files, want) {
				t.Errorf("files are %v, want %v", files, want)
			}
			alone(t, o.Dir, nil, "go", "vet", "./...")
			alone(t, o.Dir, nil, "go", "test", "./...")
			alone(t, o.Dir, []string{"GOOS=wasip1", "GOARCH=wasm"}, "go", "build", "-buildmode=c-shared", "-o", "out.wasm")
			if unformatted := alone(t, o.Dir, nil, "gofmt", "-l", "policy.go", "policy_test.go"); unformatted != "" {
				t.Errorf("not as gofmt writes it: %s", unformatted)
			}
			readme, err := os.ReadFile(filepath.Join(o.Dir, "README.md"))
			if err != nil {
				t.Fatal(err)
			}
			if want := "perfopt policy push " + string(o.Kind) + " " + o.Name + ".wasm"; !strings.Contains(string(readme), want) {
				t.Errorf("README lacks %q", want)
			}
		})
	}
}

// Scaffolds in C pass their tests by any compiler and without a warning; the
// tool's scripts build the modules and check them.
func TestScaffoldsInCTestNatively(t *testing.T) {
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("no C compiler: apt-get install gcc libc6-dev")
	}
	for _, o := range []Options{
		{Name: "my-score", Kind: policies.KindEviction},
		{Name: "my.order", Kind: policies.KindEviction, Form: FormOrder},
		{Name: "0ttl", Kind: policies.KindTTL},
		{Name: "prefetch_1", Kind: policies.KindPrefetch},
		{Name: "scaling", Kind: policies.KindScaling},
	} {
		t.Run(o.Name, func(t *testing.T) {
			t.Parallel()
			o.Language, o.Dir = "c", filepath.Join(t.TempDir(), o.Name)
			files, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			if want := []string{"policy.c", "policy_test.c", "README.md", ".gitignore"}; !slices.Equal(files, want) {
				t.Errorf("files are %v, want %v", files, want)
			}
			alone(t, o.Dir, nil, cc, "-std=c11", "-Wall", "-Wextra", "-Werror", "-I", "sdk", "-o", "policy_test", "policy_test.c")
			alone(t, o.Dir, nil, "./policy_test")
		})
	}
}

// alone runs a command in dir without network for modules.
func alone(t *testing.T, dir string, environment []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), append(environment, "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off", "GOTOOLCHAIN=local")...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestWrongOptionsAreRefusedTogether(t *testing.T) {
	o := Options{Name: "Heat!", Kind: "heating", Language: "rust", Form: "fast", Dir: t.TempDir()}
	_, err := New(o)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{`name "Heat!"`, `unknown policy kind "heating"`, `language "rust": there are those for go, c`, `form "fast"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q lacks %q", err, want)
		}
	}
}

func TestNothingIsOverwritten(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mine"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{Name: "heat", Kind: policies.KindTTL, Dir: dir}); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("error %v: want one that the folder is not empty", err)
	}
}
