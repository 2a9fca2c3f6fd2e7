package proxy

import (
	"net/http"
	"strings"
	"time"
)

// parseETag returns an entity tag in its exact form, or "" if it is none
// (RFC 9110, 8.8.3).
func parseETag(s string) string {
	tag, rest := cutETag(s)
	if rest != "" {
		return ""
	}
	return tag
}

// cutETag cuts an entity tag from the front of s.
func cutETag(s string) (tag, rest string) {
	start := 0
	if strings.HasPrefix(s, "W/") {
		start = 2
	}
	if len(s) <= start || s[start] != '"' {
		return "", s
	}
	for i := start + 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return s[:i+1], s[i+1:]
		case c < 0x21 || c == 0x7f:
			return "", s
		}
	}
	return "", s
}

// weakMatch compares two tags as If-None-Match does (RFC 9110, 8.8.3.2).
func weakMatch(a, b string) bool {
	return strings.TrimPrefix(a, "W/") == strings.TrimPrefix(b, "W/")
}

// listsETag reports whether an If-None-Match field names the tag, by weak
// comparison, or is `*`. A list that is broken counts up to where it breaks.
func listsETag(lines []string, etag string) bool {
	for _, line := range lines {
		line = strings.TrimLeft(line, " \t")
		if strings.TrimRight(line, " \t") == "*" {
			return true
		}
		for {
			line = strings.TrimLeft(line, " \t,")
			tag, rest := cutETag(line)
			if tag == "" {
				break
			}
			if etag != "" && weakMatch(tag, etag) {
				return true
			}
			line = rest
		}
	}
	return false
}

// unmodified reports whether a client that sent these fields has the answer
// with these validators already, so that 304 is the answer to it (RFC 9110,
// 13.2.2): If-None-Match wins over If-Modified-Since.
func unmodified(request http.Header, etag string, lastModified time.Time) bool {
	if lines, ok := request["If-None-Match"]; ok {
		return listsETag(lines, etag)
	}
	lines := request["If-Modified-Since"]
	if len(lines) != 1 || lastModified.IsZero() {
		return false
	}
	since, err := http.ParseTime(lines[0])
	return err == nil && !lastModified.After(since)
}

// addValidators makes an origin request conditional on the stored answer.
func (r *Response) addValidators(h http.Header) {
	if r.etag != "" {
		h["If-None-Match"] = []string{r.etag}
	}
	if !r.lastModified.IsZero() {
		h["If-Modified-Since"] = []string{r.lastModified.UTC().Format(http.TimeFormat)}
	}
}

// notModifiedFields are the fields of a stored answer that a 304 carries
// (RFC 9110, 15.4.5).
var notModifiedFields = map[string]bool{
	"Cache-Control": true, "Content-Location": true, "Date": true, "Etag": true, "Expires": true, "Vary": true,
	"Last-Modified": true, "Set-Cookie": true,
}
