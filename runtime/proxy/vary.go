package proxy

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
)

const (
	maxVaryNames    = 16  // a response that varies by more fields is not stored
	maxVariants     = 32  // variants of one key at a time; others are not stored
	maxVariantBytes = 512 // a longer variant key is replaced by its SHA-256
)

// variesByAll is what varyNames returns for a response that no later request
// can be shown to match.
var variesByAll = []string{"*"}

// varyNames returns the canonical names of the fields by which a response
// varies, sorted and distinct: nil for none, [variesByAll] where `*` is a
// member of any line, a member is not a field name, or there are too many.
func varyNames(lines []string) []string {
	var names []string
	for _, line := range lines {
		for line != "" {
			var member string
			member, line, _ = strings.Cut(line, ",")
			member = strings.Trim(member, " \t")
			if member == "" {
				continue
			}
			if member == "*" || !isToken(member) {
				return variesByAll
			}
			names = append(names, http.CanonicalHeaderKey(member))
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) > maxVaryNames {
		return variesByAll
	}
	return names
}

// encodings are the content codings that tell the classes of Accept-Encoding
// apart. Two requests that accept the same of these (and, as everybody does,
// the identity) are of one class and share a variant, whatever the order, the
// weights and the unknown codings of their fields say.
var encodings = [...]string{"br", "gzip", "zstd"}

// encodingClass returns the class of an Accept-Encoding field, such as
// "br,gzip"; "" where none of the known codings is accepted. A field that
// refuses the identity is a class of its own.
func encodingClass(lines []string) string {
	var accepted, named [len(encodings)]bool
	star, starSeen := false, false
	identity, identityNamed := true, false
	for _, line := range lines {
		for line != "" {
			var member string
			member, line, _ = strings.Cut(line, ",")
			coding, params, _ := strings.Cut(member, ";")
			coding = strings.ToLower(strings.Trim(coding, " \t"))
			yes := !zeroWeight(params)
			switch coding {
			case "*":
				star, starSeen = yes, true
			case "identity":
				identity, identityNamed = yes, true
			case "x-gzip":
				coding = "gzip"
			}
			if i := slices.Index(encodings[:], coding); i >= 0 {
				accepted[i], named[i] = yes, true
			}
		}
	}
	if starSeen && !identityNamed {
		identity = star
	}
	var class []string
	for i, coding := range encodings {
		if accepted[i] || star && !named[i] {
			class = append(class, coding)
		}
	}
	if !identity {
		class = append(class, "identity;q=0")
	}
	return strings.Join(class, ",")
}

// zeroWeight reports whether parameters say q=0.
func zeroWeight(params string) bool {
	for params != "" {
		var param string
		param, params, _ = strings.Cut(params, ";")
		name, value, _ := strings.Cut(param, "=")
		if strings.EqualFold(strings.Trim(name, " \t"), "q") {
			value = strings.Trim(value, " \t")
			return value != "" && strings.Trim(value, "0.") == ""
		}
	}
	return false
}

// suitsClass reports whether a response with that Content-Encoding, made for
// one request, can be given to every request of its class.
func suitsClass(class, contentEncoding string) bool {
	e := strings.ToLower(strings.Trim(contentEncoding, " \t"))
	if e == "" || e == "identity" {
		return true
	}
	return slices.Contains(strings.Split(class, ","), e)
}

// normalisedField returns what of a request's field tells variants apart, and
// whether the request has the field at all. Lines are joined and the white
// space around commas is dropped; languages, character sets and codings have
// no case; Accept-Encoding becomes its class.
func normalisedField(h http.Header, name string) (value string, present bool) {
	lines, present := h[name]
	switch {
	case name == "Accept-Encoding":
		// An absent field accepts anything; origins then send the identity,
		// which suits the class of those who accept none of the codings.
		return encodingClass(lines), true
	case !present:
		return "", false
	}
	value = normalisedList(lines)
	switch name {
	case "Accept-Language", "Accept-Charset", "Accept":
		value = strings.ToLower(value)
	}
	return value, true
}

func normalisedList(lines []string) string {
	if len(lines) == 1 && !strings.ContainsAny(lines[0], ", \t") {
		return lines[0]
	}
	var b strings.Builder
	for i, line := range lines {
		if i > 0 {
			b.WriteByte(',')
		}
		for line != "" {
			member, rest, more := strings.Cut(line, ",")
			b.WriteString(strings.Trim(member, " \t"))
			if more {
				b.WriteByte(',')
			}
			line = rest
		}
	}
	return b.String()
}

// variantKey returns the key of the variant that a request with these
// (outgoing) fields selects among those of base. The line breaks that separate
// its parts can stand neither in a target nor in a field.
func variantKey(base, generation string, names []string, h http.Header) string {
	n := len(base) + len(generation) + 2
	parts := make([]string, 0, maxVaryNames)
	for _, name := range names {
		value, present := normalisedField(h, name)
		part := name
		if present {
			part += "=" + value
		}
		n += len(part) + 1
		parts = append(parts, part)
	}
	suffix := strings.Join(parts, "\n")
	if len(suffix) > maxVariantBytes {
		sum := sha256.Sum256([]byte(suffix))
		suffix = hex.EncodeToString(sum[:])
	}
	return base + "\n" + generation + "\n" + suffix
}

// isToken reports whether s is a token (RFC 9110, 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		if !isTokenByte(s[i]) {
			return false
		}
	}
	return s != ""
}

func isTokenByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
