package tidy

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// maxLines is the length above which a file has two subjects.
const maxLines = 600

// root is the repository as seen from this package.
const root = "../.."

// source is one Go file of the main module.
type source struct {
	path      string // from the root
	pkg       string // folder from the root
	test      bool
	generated bool
	imports   []string
	lines     int
	doc       string // package comment
	text      []byte
	file      *ast.File
}

var readSources = sync.OnceValues(func() ([]source, error) {
	var all []source
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			_, modErr := os.Stat(filepath.Join(path, "go.mod"))
			nested := rel != "." && modErr == nil
			if nested || d.Name() == "testdata" || d.Name() == ".git" {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.ParseComments)
		if err != nil {
			return err
		}
		s := source{
			path: filepath.ToSlash(rel), pkg: filepath.ToSlash(filepath.Dir(rel)), test: strings.HasSuffix(path, "_test.go"),
			generated: ast.IsGenerated(file), lines: bytes.Count(text, []byte("\n")), text: text, file: file,
		}
		if file.Doc != nil {
			s.doc = file.Doc.Text()
		}
		for _, spec := range file.Imports {
			p, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			s.imports = append(s.imports, p)
		}
		all = append(all, s)
		return nil
	})
	return all, err
})

func sources(t *testing.T) []source {
	t.Helper()
	all, err := readSources()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 50 {
		t.Fatalf("found %d Go files: the walk is broken", len(all))
	}
	return all
}

func TestFileLength(t *testing.T) {
	for _, f := range sources(t) {
		if f.lines > maxLines && !f.generated && f.path != "internal/tidy/arrows_test.go" {
			t.Errorf("%s has %d lines, more than %d: split it by subject", f.path, f.lines, maxLines)
		}
	}
}

func TestPackageComments(t *testing.T) {
	docs := map[string][]string{}
	for _, f := range sources(t) {
		if f.test {
			continue
		}
		if _, ok := docs[f.pkg]; !ok {
			docs[f.pkg] = nil
		}
		if f.doc != "" {
			docs[f.pkg] = append(docs[f.pkg], f.doc)
		}
	}
	for pkg, comments := range docs {
		switch {
		case len(comments) != 1:
			t.Errorf("package %s has %d package comments, want 1", pkg, len(comments))
		case strings.Count(comments[0], "\n") < 5 || strings.Count(comments[0], "\n") > 60:
			t.Errorf("the comment of package %s has %d lines, want 5 to 60", pkg, strings.Count(comments[0], "\n"))
		case !strings.Contains(comments[0], "must not"):
			t.Errorf("the comment of package %s does not say what it must not know", pkg)
		}
	}
}

func TestNamesOfPackages(t *testing.T) {
	for _, f := range sources(t) {
		for part := range strings.SplitSeq(f.pkg, "/") {
			if slices.Contains([]string{"util", "utils", "common", "helpers", "types", "models", "misc", "shared"}, part) {
				t.Errorf("package %s is not named by what it provides", f.pkg)
			}
		}
	}
}

func TestTestsDoNotSleep(t *testing.T) {
	for _, f := range sources(t) {
		if !f.test || !slices.Contains(f.imports, "time") {
			continue
		}
		synctest := slices.Contains(f.imports, "testing/synctest") // there, sleeping advances virtual time
		ast.Inspect(f.file, func(n ast.Node) bool {
			if call, ok := n.(*ast.SelectorExpr); ok && !synctest {
				if x, ok := call.X.(*ast.Ident); ok && x.Name == "time" && call.Sel.Name == "Sleep" {
					t.Errorf("%s sleeps: wait for what is meant, or use testing/synctest", f.path)
				}
			}
			return true
		})
	}
}

func TestNoInitThatWorks(t *testing.T) {
	for _, f := range sources(t) {
		for _, d := range f.file.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name == "init" && fn.Recv == nil && !f.test {
				t.Errorf("%s has an init function: build what is needed where it is needed", f.path)
			}
		}
	}
}

func TestNothingIsLeftForLater(t *testing.T) {
	mark := regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X|HA` + `CK)\b`)
	for _, f := range sources(t) {
		if m := mark.Find(f.text); m != nil {
			t.Errorf("%s says %s: do it, or file an issue", f.path, m)
		}
	}
}

func TestMainModuleHasNoReplace(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(text, []byte("replace")) {
		t.Error("go.mod has a replace: go install .../cmd/perfoptd@version would refuse")
	}
}

func TestArchitectureNamesEveryPackage(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, f := range sources(t) {
		if !seen[f.pkg] && !bytes.Contains(text, []byte("`"+f.pkg+"`")) {
			t.Errorf("docs/architecture.md does not name `%s`", f.pkg)
		}
		seen[f.pkg] = true
	}
}

func TestEveryChangelogSectionIsKnown(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "CHANGELOG.md"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if section, ok := strings.CutPrefix(strings.TrimSpace(line), "### "); ok &&
			!slices.Contains([]string{"Added", "Changed", "Fixed", "Performance"}, section) {
			t.Errorf("CHANGELOG.md has a section %q", section)
		}
	}
}
