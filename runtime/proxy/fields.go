package proxy

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// hopByHop are the fields that belong to one connection (RFC 9110, 7.6.1),
// besides those that Connection lists.
var hopByHop = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Proxy-Authenticate": true,
	"Proxy-Authorization": true, "Proxy-Authentication-Info": true, "Te": true, "Trailer": true,
	"Transfer-Encoding": true, "Upgrade": true, "Http2-Settings": true,
}

// spoofable are request fields by which a client could tell the origin that
// the request is another one than the key says, or comes from somebody else.
// They are believed from trusted proxies only. So are all that begin with one
// of spoofablePrefixes.
var spoofable = map[string]bool{
	"Forwarded": true, "Via": true, "X-Real-Ip": true, "X-Client-Ip": true, "X-Cluster-Client-Ip": true,
	"True-Client-Ip": true, "Cf-Connecting-Ip": true, "Cf-Connecting-Ipv6": true, "Fastly-Client-Ip": true,
	"Client-Ip": true, "X-Remote-Ip": true, "X-Remote-Addr": true, "X-Remote-User": true, "Remote-User": true,
	"X-Originating-Ip": true, "X-Proxyuser-Ip": true, "X-Azure-Clientip": true, "X-Appengine-User-Ip": true,
	"X-Envoy-External-Address": true, "X-Envoy-Original-Path": true,
	"X-Http-Method": true, "X-Http-Method-Override": true, "X-Method-Override": true, "X-Method": true,
	"X-Host": true, "X-Http-Host-Override": true, "X-Host-Override": true, "X-Server": true, "X-Server-Name": true,
	"X-Http-Path-Override": true, "X-Http-Destinationurl": true, "X-Destination-Url": true,
	"X-Path": true, "X-Uri": true, "X-Url": true, "X-Request-Uri": true, "X-Request-Url": true, "X-Http-Url-Override": true,
	"X-Scheme": true, "X-Url-Scheme": true, "X-Proto": true, "X-Protocol": true, "X-Port": true, "X-Ssl": true, "X-Https": true,
	"Front-End-Https": true, "X-Arr-Ssl": true, "X-Arr-Log-Id": true, "X-Base-Url": true, "X-Backend-Host": true, "X-Wap-Profile": true,
	"Base-Url": true, "Proxy": true, "Proxy-Host": true, "Proxy-Url": true, "Request-Uri": true, "Redirect": true,
	"Destination-Url": true, "Http-Destinationurl": true, "Http-Host": true, "Http-Url": true, "Uri": true, "Url": true,
	"X-Accel-Redirect": true, "X-Sendfile": true, "X-Cache-Key": true, "Surrogate-Capability": true, "Cdn-Loop": true,
}

var spoofablePrefixes = [...]string{"X-Forwarded", "X-Original-", "X-Rewrite-", "X-Override-", "X-Proxy-", "X-Http-Override-"}

// isSpoofable reports whether a client's field of that canonical name is
// dropped. An underscore is read as a hyphen because CGI-like origins do.
func isSpoofable(name string) bool {
	if strings.Contains(name, "_") {
		name = http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))
	}
	if spoofable[name] {
		return true
	}
	for _, prefix := range spoofablePrefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// endToEnd returns a copy of h without the fields of its connection: those
// that Connection lists first, so that nobody can have a field of ours dropped
// by listing it, then the fixed ones. The slices of values are shared.
func endToEnd(h http.Header) http.Header {
	listed := h["Connection"]
	out := make(http.Header, len(h)+6)
	for name, values := range h {
		if hopByHop[name] || isListed(listed, name) {
			continue
		}
		out[name] = values
	}
	return out
}

// isListed reports whether Connection lists a field. Fields without which a
// message cannot be understood or judged safely are never taken as listed.
func isListed(connection []string, name string) bool {
	if len(connection) == 0 {
		return false
	}
	switch name {
	case "Cache-Control", "Content-Length", "Content-Type", "Content-Encoding", "Host", "Authorization", "Cookie",
		"Set-Cookie", "Vary", "Range", "Content-Range":
		return false
	}
	for _, line := range connection {
		if hasToken(line, name) {
			return true
		}
	}
	return false
}

// client is what is known of the other end of a request.
type client struct {
	address string // IP address, no port
	trusted bool   // its X-Forwarded-* are believed
}

func clientOf(r *http.Request, trusted []netip.Prefix) client {
	c := client{address: r.RemoteAddr}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		c.address = host
	}
	if len(trusted) > 0 {
		c.trusted = trusts(trusted, c.address)
	}
	return c
}

// trusts reports whether an address is within one of the prefixes.
func trusts(trusted []netip.Prefix, address string) bool {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	addr = addr.Unmap().WithZone("")
	for _, prefix := range trusted {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// via is how the proxy names itself to the origin (RFC 9110, 7.6.3).
const via = "1.1 " + cacheName

// outgoingFields returns the fields of the request to the origin: those of the
// client that are end to end and not spoofable, and ours.
func outgoingFields(r *http.Request, c client, clientHost, proto string) http.Header {
	out := endToEnd(r.Header)
	if !c.trusted {
		for name := range out {
			if isSpoofable(name) {
				delete(out, name)
			}
		}
	}
	delete(out, "Expect") // net/http has dealt with it
	delete(out, "Content-Length")
	out["X-Forwarded-For"] = []string{appendList(out["X-Forwarded-For"], c.address)}
	out["X-Forwarded-Host"] = []string{clientHost}
	out["X-Forwarded-Proto"] = []string{proto}
	out["Via"] = []string{appendList(out["Via"], via)}
	if _, ok := out["User-Agent"]; !ok {
		out["User-Agent"] = nil // otherwise the transport sets its own
	}
	return out
}

func appendList(lines []string, member string) string {
	if len(lines) == 0 {
		return member
	}
	return strings.Join(lines, ", ") + ", " + member
}
