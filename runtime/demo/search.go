package demo

import (
	"context"
	"errors"
	"html/template"
	"sync"

	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/mapping"
	_ "github.com/blevesearch/bleve/v2/search/highlight/highlighter/html" // bleve finds highlighters by import
)

// batchDocuments is how many documents are indexed at once: large enough to
// amortise a segment, small enough to end quickly when the site is closed.
const batchDocuments = 500

// searchIndex is a full-text index in memory, filled by one goroutine.
type searchIndex struct {
	index bleve.Index
	ready chan struct{} // closed once everything is indexed
	stop  context.CancelFunc
	done  chan struct{} // closed once the goroutine has ended
	once  sync.Once
	err   error // of Close
}

func newSearchIndex(lib library) (*searchIndex, error) {
	index, err := bleve.NewMemOnly(searchMapping())
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &searchIndex{index: index, ready: make(chan struct{}), stop: stop, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		if s.fill(ctx, lib) == nil {
			close(s.ready)
		}
	}()
	return s, nil
}

func searchMapping() mapping.IndexMapping {
	text := bleve.NewTextFieldMapping()
	text.IncludeInAll = true
	doc := bleve.NewDocumentMapping()
	doc.AddFieldMappingsAt("Name", text)
	doc.AddFieldMappingsAt("Text", text)
	doc.AddFieldMappingsAt("ID", &mapping.FieldMapping{Type: "text", Index: false})
	m := bleve.NewIndexMapping()
	m.DefaultMapping = doc
	m.DefaultAnalyzer = "standard"
	return m
}

func (s *searchIndex) fill(ctx context.Context, lib library) error {
	batch := s.index.NewBatch()
	err := lib.Documents(ctx, func(d document) error {
		if err := batch.Index(d.ID, d); err != nil {
			return err
		}
		if batch.Size() < batchDocuments {
			return nil
		}
		if err := s.index.Batch(batch); err != nil {
			return err
		}
		batch.Reset()
		return ctx.Err()
	})
	return errors.Join(err, s.index.Batch(batch))
}

func (s *searchIndex) search(ctx context.Context, query string, limit int) ([]hit, uint64, error) {
	name := bleve.NewMatchQuery(query)
	name.SetField("Name")
	name.SetBoost(3)
	text := bleve.NewMatchQuery(query)
	text.SetField("Text")
	request := bleve.NewSearchRequestOptions(bleve.NewDisjunctionQuery(name, text), limit, 0, false)
	request.Fields = []string{"Name"}
	request.Highlight = bleve.NewHighlightWithStyle("html")
	request.Highlight.AddField("Text")
	result, err := s.index.SearchInContext(ctx, request)
	if err != nil {
		return nil, 0, err
	}
	var hits []hit
	for _, h := range result.Hits {
		name, _ := h.Fields["Name"].(string)
		found := hit{URL: "/pkg/" + h.ID, Name: name}
		for _, fragment := range h.Fragments["Text"] {
			found.Excerpt += template.HTML(fragment) // the highlighter escapes everything but its marks
		}
		hits = append(hits, found)
	}
	return hits, result.Total, nil
}

func (s *searchIndex) close() error {
	s.once.Do(func() {
		s.stop()
		<-s.done
		s.err = s.index.Close()
	})
	return s.err
}
