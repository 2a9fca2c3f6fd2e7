package proxy

import (
	"bytes"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

func sampleResponse() *Response {
	r := newResponse(200, header("Content-Type: text/html", "ETag: \"v1\"", "Vary: Accept", "Vary: Accept-Language", "Date: Fri, 02 Jan 2026 03:04:05 GMT",
		"Connection: X-Hop, close", "X-Hop: dropped", "Keep-Alive: 5", "Age: 7", "Cache-Status: other; hit", "Last-Modified: Fri, 02 Jan 2026 03:00:00 GMT"),
		[]byte("hello"))
	r.received, r.initialAge, r.flags = 123456789, 3*time.Second, flagShared
	return r
}

func TestResponsesAreSerialisedOnce(t *testing.T) {
	r := sampleResponse()
	want := "Content-Length: 5\r\nContent-Type: text/html\r\nDate: Fri, 02 Jan 2026 03:04:05 GMT\r\nEtag: \"v1\"\r\n" +
		"Last-Modified: Fri, 02 Jan 2026 03:00:00 GMT\r\nVary: Accept\r\nVary: Accept-Language\r\n"
	if r.wire != want {
		t.Errorf("the header block is\n%q, want\n%q", r.wire, want)
	}
	if got := r.Header()["Vary"]; !reflect.DeepEqual(got, []string{"Accept", "Accept-Language"}) {
		t.Errorf("Vary: %q", got)
	}
	for _, f := range r.fields {
		if cap(f.values) != len(f.values) {
			t.Errorf("an append to %s would overwrite another field", f.name)
		}
	}
	if r.etag != `"v1"` || r.lastModified.IsZero() || !r.validator() {
		t.Errorf("validators %q, %v", r.etag, r.lastModified)
	}
	if got := r.age(r.received + int64(4*time.Second)); got != 7*time.Second {
		t.Errorf("age %v", got)
	}
}

func TestRefreshKeepsWhatDescribesTheContent(t *testing.T) {
	r := newResponse(200, header("Content-Type: text/html", "Content-Encoding: gzip", "ETag: \"v1\"", "X-A: old", "X-B: b"), []byte("hello"))
	got := r.refreshed(header("Content-Type: text/plain", "Content-Encoding: br", "Content-Length: 0", "X-A: new", "X-C: c", "Connection: X-C", "ETag: \"v1\"")).Header()
	want := http.Header{"Content-Type": {"text/html"}, "Content-Encoding": {"gzip"}, "Content-Length": {"5"}, "Etag": {`"v1"`}, "X-A": {"new"}, "X-B": {"b"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestCodecRoundTrip(t *testing.T) {
	empty := newResponse(204, header("Date: Fri, 02 Jan 2026 03:04:05 GMT"), nil)
	for _, r := range []*Response{sampleResponse(), empty, newResponse(299, header("X: "), nil)} {
		b, err := Codec{}.Encode([]byte("before"), r)
		if err != nil || !bytes.HasPrefix(b, []byte("before")) {
			t.Fatalf("encode: %q, %v", b, err)
		}
		got, err := Codec{}.Decode(b[len("before"):])
		if err != nil {
			t.Fatalf("status %d: %v", r.status, err)
		}
		if got.status != r.status || got.wire != r.wire || !bytes.Equal(got.body, r.body) || got.received != r.received ||
			got.initialAge != r.initialAge || got.flags != r.flags || !reflect.DeepEqual(got.fields, r.fields) || got.etag != r.etag {
			t.Errorf("got %+v, want %+v", got, r)
		}
	}
	m := newMarker([]string{"Accept", "X-A"})
	b, err := Codec{}.Encode(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Codec{}.Decode(b)
	if err != nil || got.marker.generation != m.marker.generation || !reflect.DeepEqual(got.marker.names, m.marker.names) {
		t.Errorf("marker: got %+v, %v", got, err)
	}
}

func TestCodecRefusesWhatCannotBeServed(t *testing.T) {
	encode := func(change func(*Response)) []byte {
		r := sampleResponse()
		change(r)
		b, err := Codec{}.Encode(nil, r)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	whole := encode(func(*Response) {})
	for name, b := range map[string][]byte{
		"empty":              nil,
		"another version":    append([]byte{codecVersion + 1}, whole[1:]...),
		"an unknown flag":    append([]byte{codecVersion, 0x80}, whole[2:]...),
		"cut":                whole[:len(whole)-1],
		"with more behind":   append(bytes.Clone(whole), 0),
		"a wrong length":     encode(func(r *Response) { r.body = []byte("longer") }),
		"a smuggled line":    encode(func(r *Response) { r.wire = "X: a\r\n\r\nHTTP/1.1 200 OK\r\n" }),
		"a control byte":     encode(func(r *Response) { r.wire = strings.Replace(r.wire, "text", "t\nxt", 1) }),
		"a hop-by-hop field": encode(func(r *Response) { r.wire += "Transfer-Encoding: chunked\r\n" }),
		"a cookie":           encode(func(r *Response) { r.wire = "Content-Length: 5\r\nSet-Cookie: a=b\r\n" }),
		"an odd name":        encode(func(r *Response) { r.wire += "x-lower: 1\r\n" }),
		"a partial answer":   encode(func(r *Response) { r.status = 206 }),
		"an interim answer":  encode(func(r *Response) { r.status = 103 }),
		"a negative age":     encode(func(r *Response) { r.initialAge = -1 }),
		"two lengths":        encode(func(r *Response) { r.wire = "Content-Length: 5\r\nContent-Length: 5\r\n" }),
		"no length":          encode(func(r *Response) { r.wire = "X: 1\r\n" }),
		"too large":          encode(func(r *Response) { *r = *newResponse(200, nil, make([]byte, DefaultMaxBody+1)) }),
	} {
		if r, err := (Codec{}).Decode(b); err == nil {
			t.Errorf("%s: decoded as %+v", name, r)
		}
	}
	m := newMarker([]string{"Accept"})
	for name, change := range map[string]func(*marker){
		"generation": func(m *marker) { m.generation = "x" },
		"names":      func(m *marker) { m.names = []string{"B", "A"} },
		"star":       func(m *marker) { m.names = []string{"*"} },
		"line break": func(m *marker) { m.names = []string{"A\nB"} },
	} {
		bad := &Response{marker: &marker{generation: m.marker.generation, names: m.marker.names}}
		change(bad.marker)
		b, err := Codec{}.Encode(nil, bad)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := (Codec{}).Decode(b); err == nil {
			t.Errorf("marker with a wrong %s: decoded as %+v", name, r)
		}
	}
}

func FuzzCodec(f *testing.F) {
	for _, r := range []*Response{sampleResponse(), newMarker([]string{"Accept"}), newResponse(204, nil, nil)} {
		b, err := Codec{}.Encode(nil, r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Codec{MaxBody: 1 << 16}.Decode(b)
		if err != nil {
			return
		}
		again, err := Codec{}.Encode(nil, r)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%q decodes to what encodes to %q, %v", b, again, err)
		}
		if r.marker != nil {
			return
		}
		// What is decoded is written to clients as it is.
		var out laneWriter
		nc := &recorder{}
		if _, err := out.write(nc, r, time.Second, time.Unix(0, r.received)); err != nil {
			t.Fatal(err)
		}
		head, _, ok := strings.Cut(nc.String(), "\r\n\r\n")
		if !ok || strings.Count(head, "\n") != strings.Count(head, "\r\n") {
			t.Fatalf("%q is written as %q", b, nc.String())
		}
	})
}
