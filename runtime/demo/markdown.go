package demo

import (
	"context"
	"html/template"
	"io/fs"
	"slices"
	"strings"
)

// markdown documents a tree of Markdown files, shown as they are written.
type markdown struct {
	files fs.FS
	pages []page
}

func openMarkdown(files fs.FS) (*markdown, error) {
	m := &markdown{files: files}
	err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".md") {
			return err
		}
		text, err := fs.ReadFile(files, path)
		if err != nil {
			return err
		}
		title, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
		m.pages = append(m.pages, page{Path: strings.TrimSuffix(path, ".md"), Synopsis: strings.TrimLeft(title, "# ")})
		return nil
	})
	return m, err
}

func (m *markdown) Title() string { return "perfopt's documentation" }

func (m *markdown) Pages() []page { return m.pages }

func (m *markdown) Render(path string) (rendered, error) {
	if !slices.ContainsFunc(m.pages, func(p page) bool { return p.Path == path }) {
		return rendered{}, fs.ErrNotExist
	}
	text, err := fs.ReadFile(m.files, path+".md")
	if err != nil {
		return rendered{}, err
	}
	return rendered{Title: path, HTML: template.HTML("<pre>" + template.HTMLEscapeString(string(text)) + "</pre>")}, nil
}

func (m *markdown) Documents(ctx context.Context, yield func(document) error) error {
	for _, p := range m.pages {
		text, err := fs.ReadFile(m.files, p.Path+".md")
		if err != nil {
			return err
		}
		if err := yield(document{ID: p.Path + "#", Name: p.Synopsis, Text: string(text)}); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}
