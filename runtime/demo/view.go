package demo

import (
	"bytes"
	_ "embed"
	"html/template"
)

//go:embed page.html
var pageHTML string

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// rendered is one page's documentation.
type rendered struct {
	Title string
	HTML  template.HTML
}

// hit is one result of a search.
type hit struct {
	URL     string
	Name    string
	Excerpt template.HTML
}

// view is what the page template shows.
type view struct {
	Library  string
	Title    string
	Pages    []page
	Body     template.HTML
	Query    string
	Searched bool
	Found    []hit
	Total    uint64
}

func (v view) render() ([]byte, error) {
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
