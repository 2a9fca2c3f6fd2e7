// Package scaffold writes the beginnings of a policy: sources, a test, a README
// and a copy of the SDK, so that it builds and tests anywhere without a
// registry.
//
//   - [New] writes a scaffold, described by [Options].
//   - [Languages] lists the languages that there are templates for.
//
// The main module cannot embed another module, which every SDK is, so archives/
// holds a generated copy of each, in the text archive format of package txtar:
//
//	go run ./sdk/scaffold/gen
//
// writes it, and a test compares it with the sources. The scaffold refers to its
// copy by a relative path.
//
// It must not know how a policy is built or tested; and it never overwrites a
// file.
package scaffold

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/perfopt/perfopt/policies"
)

//go:embed templates/*/*.tmpl
var templates embed.FS

//go:embed archives/*.txtar
var archives embed.FS

// Form is how an eviction policy decides.
type Form string

// The forms of an eviction policy.
const (
	FormScore Form = "score" // scores a sample of the entries
	FormOrder Form = "order" // keeps an order of all of them
)

// Options describe a scaffold.
type Options struct {
	// Name is the policy's name: a lower-case letter or digit, then up to 63 of
	// those, '.', '_' and '-'.
	Name string
	// Kind is what the policy decides.
	Kind policies.Kind
	// Form is for the kind eviction only. Default: [FormScore].
	Form Form
	// Language is one of [Languages]. Default: go.
	Language string
	// Dir is the folder to write, which must be empty or missing. Default: Name
	// in the working folder.
	Dir string
}

// Languages returns the languages that there are templates for.
func Languages() []string { return []string{"go", "c"} }

var policyName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// Validate fills in defaults and returns everything that is wrong.
func (o *Options) Validate() error {
	var problems []error
	if !policyName.MatchString(o.Name) {
		problems = append(problems, fmt.Errorf("name %q: want a lower-case letter or digit, then up to 63 of those, '.', '_' and '-'", o.Name))
	}
	if _, err := policies.ParseKind(string(o.Kind)); err != nil {
		problems = append(problems, err)
	}
	if o.Language == "" {
		o.Language = "go"
	}
	if !slices.Contains(Languages(), o.Language) {
		problems = append(problems, fmt.Errorf("no templates for language %q: there are those for %s", o.Language, strings.Join(Languages(), ", ")))
	}
	switch {
	case o.Kind == policies.KindEviction && o.Form == "":
		o.Form = FormScore
	case o.Form == "":
	case o.Kind != policies.KindEviction:
		problems = append(problems, fmt.Errorf("form %q: only an eviction policy has one", o.Form))
	case o.Form != FormScore && o.Form != FormOrder:
		problems = append(problems, fmt.Errorf("unknown form %q: want score or order", o.Form))
	}
	if o.Dir == "" {
		o.Dir = o.Name
	}
	return errors.Join(problems...)
}

// New writes a scaffold and returns the paths of its files below Dir, those of
// the SDK's copy excepted.
func New(o Options) ([]string, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if entries, err := os.ReadDir(o.Dir); err == nil && len(entries) > 0 {
		return nil, fmt.Errorf("folder %s is not empty: choose another one with --dir", o.Dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	files, err := render(o)
	if err != nil {
		return nil, err
	}
	var own []string
	for _, f := range files {
		own = append(own, f.Name)
	}
	archive, err := archives.ReadFile("archives/" + o.Language + ".txtar")
	if err != nil {
		return nil, err
	}
	for _, f := range txtar.Parse(archive).Files {
		files = append(files, txtar.File{Name: "sdk/" + f.Name, Data: f.Data})
	}
	for _, f := range files {
		if err := create(filepath.Join(o.Dir, filepath.FromSlash(f.Name)), f.Data); err != nil {
			return nil, err
		}
	}
	return own, nil
}

// render fills in the templates.
func render(o Options) ([]txtar.File, error) {
	source := string(o.Kind)
	if o.Kind == policies.KindEviction {
		source = string(o.Form)
	}
	// The module is named like its folder, so that "policy build" and the README
	// agree; the folder may have another name than the policy.
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	data := struct {
		Name, Output string
		Kind         policies.Kind
	}{o.Name, filepath.Base(dir) + ".wasm", o.Kind}
	var files []txtar.File
	for _, f := range layout(o.Language, source) {
		t, err := template.ParseFS(templates, "templates/"+o.Language+"/"+f.template+".tmpl")
		if err != nil {
			return nil, fmt.Errorf("template %s: %w", f.template, err)
		}
		var b bytes.Buffer
		if err := t.Execute(&b, data); err != nil {
			return nil, fmt.Errorf("template %s: %w", f.template, err)
		}
		files = append(files, txtar.File{Name: f.path, Data: b.Bytes()})
	}
	return files, nil
}

// file is a file of a scaffold and the template that makes it.
type file struct{ path, template string }

// layout lists the files of a scaffold.
func layout(language, source string) []file {
	end := "." + language
	list := []file{{"policy" + end, source + end}, {"policy_test" + end, source + "_test" + end}}
	if language == "go" {
		list = append(list, file{"go.mod", "go.mod"})
	}
	return append(list, file{"README.md", "README.md"}, file{".gitignore", "gitignore"})
}

// create writes a file that must not be there yet.
func create(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
