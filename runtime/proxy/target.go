package proxy

import (
	"errors"
	"net/url"
	"strings"
)

var (
	errTarget = errors.New("the request target is not a path that can be forwarded as it is")
	errHost   = errors.New("the host is not a valid authority")
)

// splitTarget returns the exact path and query of a request target as they
// stand in the request line, in origin form or in absolute form, whose
// authority has replaced Host already. query includes its question mark, so
// "/a?" and "/a" stay different.
func splitTarget(requestURI string) (path, query string, err error) {
	target := requestURI
	if !strings.HasPrefix(target, "/") {
		_, rest, ok := strings.Cut(target, "://")
		if !ok {
			return "", "", errTarget
		}
		if i := strings.IndexAny(rest, "/?"); i >= 0 {
			target = rest[i:]
		} else {
			target = ""
		}
		if !strings.HasPrefix(target, "/") {
			target = "/" + target
		}
	}
	for i := range len(target) {
		// A fragment has no place in a request, and origins differ in where
		// they cut it.
		if c := target[i]; c <= ' ' || c == 0x7f || c == '#' || c == '\\' {
			return "", "", errTarget
		}
	}
	if i := strings.IndexByte(target, '?'); i >= 0 {
		return target[:i], target[i:], nil
	}
	return target, "", nil
}

// outgoingURL returns a URL that net/http writes as exactly this path and
// query in the request line.
func outgoingURL(origin *url.URL, path, query string) *url.URL {
	u := &url.URL{Scheme: origin.Scheme, Host: origin.Host}
	path = strings.TrimSuffix(origin.EscapedPath(), "/") + path
	if query != "" {
		u.RawQuery, u.ForceQuery = query[1:], true
	}
	if strings.HasPrefix(path, "//") {
		// An opaque part that begins so would be written as an absolute form.
		u.Path, u.RawPath = unescaped(path), path
	} else {
		u.Opaque = path
	}
	return u
}

func unescaped(path string) string {
	if p, err := url.PathUnescape(path); err == nil {
		return p
	}
	return path
}

// normalisedHost returns the authority of a request in lower case and without
// the port that its scheme implies.
func normalisedHost(host, proto string) (string, error) {
	if host == "" || len(host) > 255 {
		return "", errHost
	}
	for i := range len(host) {
		c := host[i]
		ok := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(".-_:[]%", c) >= 0
		if !ok {
			return "", errHost
		}
	}
	host = strings.ToLower(host)
	if proto == "http" {
		host = strings.TrimSuffix(host, ":80")
	} else {
		host = strings.TrimSuffix(host, ":443")
	}
	if host == "" {
		return "", errHost
	}
	return host, nil
}

// plainPath returns the decoded path for matching routes, and whether origin
// and proxy are sure to understand it alike: no dot segments, empty segments,
// path parameters or encoded delimiters. A rule alone never makes the answer
// to another path storable.
func plainPath(path string) (decoded string, plain bool) {
	decoded = path
	plain = true
	if strings.IndexByte(path, '%') >= 0 {
		decoded = unescaped(path)
	}
	for i := range len(decoded) {
		if c := decoded[i]; c <= ' ' || c == 0x7f || c == ';' || c == '\\' || c == '%' || c == '?' || c == '#' {
			plain = false
			break
		}
	}
	if strings.Count(decoded, "/") != strings.Count(path, "/") {
		plain = false
	}
	if strings.Contains(decoded, "//") || strings.Contains(decoded+"/", "/./") || strings.Contains(decoded+"/", "/../") {
		plain = false
		decoded = removeDots(decoded)
	}
	return decoded, plain
}

// removeDots resolves dot segments and empty segments as most origins do.
func removeDots(path string) string {
	var out []string
	for segment := range strings.SplitSeq(path, "/") {
		switch segment {
		case "", ".":
		case "..":
			if len(out) > 0 {
				out = out[:len(out)-1]
			}
		default:
			out = append(out, segment)
		}
	}
	cleaned := "/" + strings.Join(out, "/")
	if strings.HasSuffix(path, "/") && cleaned != "/" {
		cleaned += "/"
	}
	return cleaned
}
