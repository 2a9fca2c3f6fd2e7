package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
)

const cachePatternsUsage = `cache patterns

Shows how the keys of a cache are used: skew, working set, keys asked for once,
reuse distances, and how many keys are hot, warm, cold, periodic or scanned.`

func cachePatternsCommand(ctx context.Context, e *env, args []string) int {
	return e.cacheQuery(ctx, args, "patterns", false)
}

const cacheTopUsage = `cache top

Lists the most used entries of a cache.`

func cacheTopCommand(ctx context.Context, e *env, args []string) int {
	return e.cacheQuery(ctx, args, "top", false)
}

const cacheExplainUsage = `cache explain KEY

Tells what a cache knows about a key: whether it is there, since when and for how
long, how it is used, and what the policies think of it. Exit code 1 means that
the cache does not know the key.`

func cacheExplainCommand(ctx context.Context, e *env, args []string) int {
	return e.cacheQuery(ctx, args, "explain", true)
}

// cacheQuery asks the daemon one question about a cache and prints the answer.
func (e *env) cacheQuery(ctx context.Context, args []string, what string, keyed bool) int {
	fs := e.flags().withJSON()
	address := fs.withAdmin()
	cache := fs.String("cache", "", "`NAME` of the cache; without it the default one")
	count := new(int)
	if what == "top" {
		count = fs.Int("n", 20, "how many entries (`N`, 1 to 1000)")
	}
	arguments := 0
	if keyed {
		arguments = 1
	}
	rest, code, ok := fs.parse(args, arguments, arguments)
	if !ok {
		return code
	}
	query := url.Values{}
	if *cache != "" {
		query.Set("cache", *cache)
	}
	if what == "top" {
		query.Set("n", strconv.Itoa(*count))
	}
	if keyed {
		query.Set("key", rest[0])
	}
	c, err := e.admin(*address)
	if err != nil {
		return e.wrong(err)
	}
	path := "/v1/cache/" + what
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	var body json.RawMessage
	if body, err = c.do(ctx, request{method: http.MethodGet, path: path}); err != nil {
		if keyed {
			return e.failed(err, http.StatusNotFound)
		}
		return e.failed(err)
	}
	return e.printDocument(body)
}
