package demo

import (
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"go/build"
	"go/doc"
	"go/format"
	"go/parser"
	"go/token"
	"html/template"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// standardLibrary documents the packages below GOROOT/src from their sources.
type standardLibrary struct {
	root  string // GOROOT/src
	title string
	pages []page
}

// findGOROOT returns a Go installation with sources, "" where there is none.
func findGOROOT(wanted string) string {
	candidates := []string{wanted}
	if wanted == "" {
		candidates = []string{build.Default.GOROOT, os.Getenv("GOROOT")}
		if out, err := exec.Command("go", "env", "GOROOT").Output(); err == nil {
			candidates = append(candidates, strings.TrimSpace(string(out)))
		}
	}
	for _, root := range candidates {
		if root == "" {
			continue
		}
		if _, err := os.Stat(filepath.Join(root, "src", "net", "http")); err == nil {
			return root
		}
	}
	return ""
}

func openStandardLibrary(root string) (*standardLibrary, error) {
	l := &standardLibrary{root: filepath.Join(root, "src"), title: "Go standard library"}
	if version, err := os.ReadFile(filepath.Join(root, "VERSION")); err == nil {
		first, _, _ := strings.Cut(string(version), "\n")
		l.title += ", " + strings.TrimSpace(first)
	}
	err := filepath.WalkDir(l.root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		switch d.Name() {
		case "internal", "vendor", "testdata", "cmd", "builtin":
			return filepath.SkipDir
		}
		rel, err := filepath.Rel(l.root, file)
		if err != nil || rel == "." {
			return err
		}
		if synopsis, ok := l.synopsis(file); ok {
			l.pages = append(l.pages, page{Path: filepath.ToSlash(rel), Synopsis: synopsis})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("demo origin: list packages: %w", err)
	}
	return l, nil
}

// synopsis reads the package clauses of a folder; false where it holds no
// package for this platform.
func (l *standardLibrary) synopsis(folder string) (string, bool) {
	p, err := build.ImportDir(folder, 0)
	if err != nil || p.Name == "main" {
		return "", false
	}
	return p.Doc, true
}

func (l *standardLibrary) Title() string { return l.title }

func (l *standardLibrary) Pages() []page { return l.pages }

// load parses one package's sources.
func (l *standardLibrary) load(pkg string) (*doc.Package, *token.FileSet, error) {
	_, known := slices.BinarySearchFunc(l.pages, pkg, func(p page, path string) int { return strings.Compare(p.Path, path) })
	if !known {
		return nil, nil, fs.ErrNotExist
	}
	p, err := build.ImportDir(filepath.Join(l.root, filepath.FromSlash(pkg)), 0)
	if err != nil {
		return nil, nil, err
	}
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range append(slices.Clone(p.GoFiles), p.CgoFiles...) {
		f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.ParseComments)
		if err != nil {
			return nil, nil, err
		}
		files = append(files, f)
	}
	d, err := doc.NewFromFiles(fset, files, pkg)
	return d, fset, err
}

func (l *standardLibrary) Render(pkg string) (rendered, error) {
	d, fset, err := l.load(pkg)
	if err != nil {
		return rendered{}, err
	}
	r := &renderer{pkg: d, fset: fset}
	r.heading(1, "", "package "+d.Name)
	r.code(fmt.Sprintf("import %q", pkg))
	r.comment(d.Doc)
	r.values("Constants", d.Consts)
	r.values("Variables", d.Vars)
	if len(d.Funcs) > 0 {
		r.heading(2, "", "Functions")
		r.funcs(d.Funcs, "")
	}
	if len(d.Types) > 0 {
		r.heading(2, "", "Types")
	}
	for _, t := range d.Types {
		r.heading(3, t.Name, "type "+t.Name)
		r.node(t.Decl)
		r.comment(t.Doc)
		r.values("", t.Consts)
		r.values("", t.Vars)
		r.funcs(t.Funcs, "")
		r.funcs(t.Methods, t.Name+".")
	}
	return rendered{Title: pkg, HTML: template.HTML(r.out.String())}, nil
}

func (l *standardLibrary) Documents(ctx context.Context, yield func(document) error) error {
	for _, p := range l.pages {
		if err := ctx.Err(); err != nil {
			return err
		}
		d, _, err := l.load(p.Path)
		if err != nil {
			continue // a package that does not parse has no documentation to find
		}
		if err := yield(document{ID: p.Path + "#", Name: "package " + p.Path, Text: d.Doc}); err != nil {
			return err
		}
		base := path.Base(p.Path)
		symbol := func(anchor, text string) error {
			return yield(document{ID: p.Path + "#" + anchor, Name: base + "." + anchor, Text: text})
		}
		for _, f := range d.Funcs {
			if err := symbol(f.Name, f.Doc); err != nil {
				return err
			}
		}
		for _, t := range d.Types {
			if err := symbol(t.Name, t.Doc); err != nil {
				return err
			}
			for _, f := range t.Funcs {
				if err := symbol(f.Name, f.Doc); err != nil {
					return err
				}
			}
			for _, m := range t.Methods {
				if err := symbol(t.Name+"."+m.Name, m.Doc); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// renderer writes a package's documentation as HTML.
type renderer struct {
	pkg  *doc.Package
	fset *token.FileSet
	out  bytes.Buffer
}

func (r *renderer) heading(level int, anchor, text string) {
	id := ""
	if anchor != "" {
		id = ` id="` + template.HTMLEscapeString(anchor) + `"`
	}
	fmt.Fprintf(&r.out, "<h%d%s>%s</h%d>\n", level, id, template.HTMLEscapeString(text), level)
}

func (r *renderer) code(text string) {
	fmt.Fprintf(&r.out, "<pre>%s</pre>\n", template.HTMLEscapeString(text))
}

func (r *renderer) node(n ast.Node) {
	var b bytes.Buffer
	if err := format.Node(&b, r.fset, n); err == nil {
		r.code(b.String())
	}
}

func (r *renderer) comment(text string) {
	printer := r.pkg.Printer()
	printer.DocLinkBaseURL = "/pkg"
	printer.HeadingLevel = 4
	r.out.Write(printer.HTML(r.pkg.Parser().Parse(text)))
}

func (r *renderer) values(title string, values []*doc.Value) {
	if len(values) > 0 && title != "" {
		r.heading(2, "", title)
	}
	for _, v := range values {
		r.node(v.Decl)
		r.comment(v.Doc)
	}
}

func (r *renderer) funcs(funcs []*doc.Func, prefix string) {
	for _, f := range funcs {
		r.heading(3, prefix+f.Name, "func "+prefix+f.Name)
		f.Decl.Body = nil
		r.node(f.Decl)
		r.comment(f.Doc)
	}
}
