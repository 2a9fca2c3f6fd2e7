package proxy

import (
	"net/http"
	"strings"
	"time"

	"github.com/perfopt/perfopt/scheduler"
)

// exchange is one request of a client while it is handled.
type exchange struct {
	p     *Proxy
	w     http.ResponseWriter
	r     *http.Request
	began time.Time

	client      client
	proto       string // http or https, as the client sees it
	host        string // authority that the origin sees, unless HostFromOrigin
	seenHost    string // authority that the client sees
	path, query string // exactly as they are sent
	plain       bool   // see plainPath
	key         string // of the resource
	rules       *rules
	route       *route

	authorization, cookie bool
	made                  *originRequest // see request

	status  cacheStatus
	outcome Outcome
	sent    int64 // bytes of content
}

// begin reads what every request must have. An error is the client's.
func (p *Proxy) begin(w http.ResponseWriter, r *http.Request) (*exchange, error) {
	x := &exchange{p: p, w: w, r: r, began: time.Now(), rules: p.rules.Load(), outcome: Failed}
	x.route = x.rules.routes[len(x.rules.routes)-1]
	x.client = clientOf(r, x.rules.trusted)
	x.proto = "http"
	if r.TLS != nil {
		x.proto = "https"
	}
	host := r.Host
	if host == "" && !r.ProtoAtLeast(1, 1) {
		host = p.origin.Host
	}
	var err error
	if x.path, x.query, err = splitTarget(r.RequestURI); err != nil {
		return x, err
	}
	if err = x.authority(host); err != nil {
		return x, err
	}
	decoded, plain := plainPath(x.path)
	x.plain = plain
	x.key = resourceKey(x.proto, x.seenHost, x.path, x.query)
	if x.host != x.seenHost {
		x.key += " host=" + x.host // a space can stand in no target
	}
	x.route = x.rules.routeFor(r.Method, hostname(x.seenHost), decoded)
	_, x.authorization = r.Header["Authorization"]
	_, x.cookie = r.Header["Cookie"]
	if x.rules.showKey {
		x.status.key = x.key
	}
	return x, nil
}

// authority sets the hosts and, for a trusted client, takes its word for the
// URL that its own client sees.
func (x *exchange) authority(host string) (err error) {
	seen := host
	if x.client.trusted {
		if proto := lastMember(x.r.Header["X-Forwarded-Proto"]); proto == "http" || proto == "https" {
			x.proto = proto
		}
		if h := lastMember(x.r.Header["X-Forwarded-Host"]); h != "" {
			seen = h
		}
	}
	if x.host, err = normalisedHost(host, x.proto); err != nil {
		return err
	}
	x.seenHost, err = normalisedHost(seen, x.proto)
	if x.p.hostFromOrigin {
		x.host = x.seenHost // the origin sees its own name; the other one is in a field
	}
	return err
}

func lastMember(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	line := lines[len(lines)-1]
	return strings.Trim(line[strings.LastIndexByte(line, ',')+1:], " \t")
}

func resourceKey(proto, host, path, query string) string {
	return proto + "://" + host + path + query
}

// request returns the request that would be sent to the origin.
func (x *exchange) request() *originRequest {
	if x.made == nil {
		host := x.host
		if x.p.hostFromOrigin {
			host = x.p.origin.Host
		}
		x.made = &originRequest{
			method: x.r.Method, url: outgoingURL(x.p.origin, x.path, x.query), host: host,
			header: outgoingFields(x.r, x.client, x.seenHost, x.proto),
			base:   x.key, route: x.route, priority: requestPriority(x.route, x.r.Header["Priority"]),
			authorization: x.authorization, cookie: x.cookie, plain: x.plain,
			since: x.p.changes.now(x.key),
		}
	}
	return x.made
}

// selecting returns the fields by which a variant is selected: those that the
// origin would get. The usual ones are the client's own, so that a hit builds
// no request.
func (x *exchange) selecting(names []string) http.Header {
	if len(x.r.Header["Connection"]) == 0 || x.made == nil && onlyKeepAlive(x.r.Header["Connection"]) {
		usual := true
		for _, name := range names {
			switch name {
			case "Accept-Encoding", "Accept-Language", "Accept", "Origin", "Cookie":
			default:
				usual = false
			}
		}
		if usual {
			return x.r.Header
		}
	}
	return x.request().header
}

func onlyKeepAlive(connection []string) bool {
	return len(connection) == 1 && (strings.EqualFold(connection[0], "keep-alive") || strings.EqualFold(connection[0], "close"))
}

// bypass returns why a request is not one that the cache deals with, as the
// fwd and detail of Cache-Status; empty if it is.
func (x *exchange) bypass() (fwd, detail string) {
	h := x.r.Header
	switch {
	case x.r.Method != http.MethodGet && x.r.Method != http.MethodHead:
		return fwdMethod, ""
	case x.route.cache == nil:
		return fwdBypass, ""
	case x.r.ContentLength != 0 || len(x.r.TransferEncoding) > 0:
		return fwdBypass, "content"
	case len(h["Range"]) > 0 || len(h["If-Range"]) > 0:
		return fwdBypass, "range"
	case len(h["If-Match"]) > 0 || len(h["If-Unmodified-Since"]) > 0:
		return fwdBypass, "precondition"
	case len(h["Upgrade"]) > 0:
		return fwdBypass, "upgrade"
	case x.client.trusted && overridesTarget(h):
		return fwdBypass, "override"
	}
	return "", ""
}

// overridesTarget reports whether a field that is believed from a trusted
// client says that the request is another one than the key.
func overridesTarget(h http.Header) bool {
	for name := range h {
		switch {
		case !isSpoofable(name), strings.HasPrefix(name, "X-Forwarded"), strings.HasSuffix(name, "-Ip"),
			name == "Forwarded", name == "Via":
		default:
			return true
		}
	}
	return false
}

// ServeHTTP answers a request.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x, err := p.begin(w, r)
	defer x.end()
	switch {
	case err != nil:
		x.refuse(http.StatusBadRequest, "malformed", err.Error())
	case countFields(r.Header) > maxFields:
		x.refuse(http.StatusRequestHeaderFieldsTooLarge, "fields", "the request has too many fields")
	case r.Method == http.MethodConnect || r.Method == http.MethodTrace:
		x.refuse(http.StatusMethodNotAllowed, "method", "a reverse proxy does not answer "+r.Method)
	default:
		if fwd, detail := x.bypass(); fwd != "" {
			x.status.fwd, x.status.detail = fwd, detail
			x.pass(Bypass)
			return
		}
		x.cached()
	}
}

func countFields(h http.Header) (n int) {
	for _, values := range h {
		n += len(values)
	}
	return n
}

// end counts the request. It runs also where sending was given up by a panic.
func (x *exchange) end() {
	now := time.Now()
	x.route.stats[x.outcome].add(now.UnixNano(), now.Sub(x.began), x.sent)
}

// moreImportant reports whether work of priority a goes before that of b.
func moreImportant(a, b scheduler.Priority) bool { return a < b }
