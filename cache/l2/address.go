package l2

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// schemes are the forms of a Redis URL.
var schemes = []string{
	"redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster",
}

// parseAddress reads a URL into the options that say where to connect and as
// whom. The forms:
//
//	redis://[user[:password]@]host[:port][/db]
//	redis+sentinel://[user[:password]@]host[:port][,host[:port]...]/master[/db]
//	redis+cluster://[user[:password]@]host[:port][,host[:port]...]
//
// and the same with rediss for TLS. The query may hold db, master (sentinel),
// sentinel_username and sentinel_password. Errors never show the password.
func parseAddress(raw string) (*redis.UniversalOptions, error) {
	scheme, rest, ok := strings.Cut(raw, "://")
	scheme = strings.ToLower(scheme)
	if !ok || !slices.Contains(schemes, scheme) {
		return nil, fmt.Errorf("redis URL: scheme %q, want one of %s", clip(scheme), strings.Join(schemes, ", "))
	}
	// Several hosts with ports are no URL authority, so it is taken apart here
	// and only its pieces go through package url.
	rest, query, _ := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	user, hosts := "", authority
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		user, hosts = authority[:at], authority[at+1:]
	}
	o := &redis.UniversalOptions{}
	if err := parseUser(o, user); err != nil {
		return nil, err
	}
	_, kind, _ := strings.Cut(scheme, "+")
	port := "6379"
	if kind == "sentinel" {
		port = "26379"
	}
	for host := range strings.SplitSeq(hosts, ",") {
		addr, err := withPort(host, port)
		if err != nil {
			return nil, err
		}
		o.Addrs = append(o.Addrs, addr)
	}
	if strings.HasPrefix(scheme, "rediss") {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return o, parseTarget(o, kind, path, query)
}

// parseTarget reads what follows the hosts: master name and database.
func parseTarget(o *redis.UniversalOptions, kind, path, query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("redis URL: the query cannot be read, want name=value pairs joined by &")
	}
	segments := strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
	if kind == "sentinel" {
		o.MasterName = values.Get("master")
		if o.MasterName == "" && len(segments) > 0 {
			if o.MasterName, err = url.PathUnescape(segments[0]); err != nil {
				return errors.New("redis URL: the master name has a broken escape")
			}
			segments = segments[1:]
		}
		if o.MasterName == "" {
			return errors.New("redis URL: sentinel needs the master's name: redis+sentinel://host:port/NAME")
		}
		o.SentinelUsername, o.SentinelPassword = values.Get("sentinel_username"), values.Get("sentinel_password")
	}
	known := map[string][]string{"": {"db"}, "sentinel": {"db", "master", "sentinel_username", "sentinel_password"}}[kind]
	for name := range values {
		if !slices.Contains(known, name) {
			return fmt.Errorf("redis URL: unknown parameter %q, known here: %s", clip(name), strings.Join(known, ", "))
		}
	}
	o.IsClusterMode = kind == "cluster"
	if o.IsClusterMode && len(segments) > 0 {
		return errors.New("redis URL: a cluster has database 0 only; drop the path")
	}
	if kind == "" && len(o.Addrs) > 1 {
		return errors.New("redis URL: several hosts need redis+sentinel:// or redis+cluster://")
	}
	db := values.Get("db")
	if len(segments) > 1 || (len(segments) == 1 && db != "") {
		return errors.New("redis URL: more than one database named")
	}
	if len(segments) == 1 {
		db = segments[0]
	}
	if db != "" {
		if o.DB, err = strconv.Atoi(db); err != nil || o.DB < 0 {
			return fmt.Errorf("redis URL: database %q, want a number from 0 on", clip(db))
		}
	}
	return nil
}

func parseUser(o *redis.UniversalOptions, user string) error {
	name, password, _ := strings.Cut(user, ":")
	var err1, err2 error
	o.Username, err1 = url.PathUnescape(name)
	o.Password, err2 = url.PathUnescape(password)
	if err1 != nil || err2 != nil {
		return errors.New("redis URL: user or password has a broken escape; write % as %25")
	}
	return nil
}

// withPort completes host or host:port; an IPv6 address stands in brackets.
func withPort(host, port string) (string, error) {
	if host == "" {
		return "", errors.New("redis URL: a host is empty")
	}
	h, p, err := net.SplitHostPort(host)
	if err != nil {
		h, p = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"), port
		if strings.Contains(h, ":") && host[0] != '[' {
			return "", fmt.Errorf("redis URL: host %q, want an IPv6 address in brackets", clip(host))
		}
	}
	if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 || h == "" {
		return "", fmt.Errorf("redis URL: host %q, want host:port with a port of 1 to 65535", clip(host))
	}
	return net.JoinHostPort(h, p), nil
}

// clip bounds what an error repeats of its input.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}
