package proxy

import (
	"net/http"
	"testing"
)

func TestIdentityIsOfTheContent(t *testing.T) {
	answer := func(body, date string) *Response {
		h := http.Header{"Content-Type": {"text/plain"}, "Date": {date}}
		return newResponse(200, h, []byte(body))
	}
	one := Identity(answer("a", "Tue, 24 Nov 2026 06:00:00 GMT"))
	if one != Identity(answer("a", "Tue, 24 Nov 2026 07:00:00 GMT")) {
		t.Error("the same content received later has another identity")
	}
	if one == Identity(answer("b", "Tue, 24 Nov 2026 06:00:00 GMT")) {
		t.Error("other content has the same identity")
	}
}
