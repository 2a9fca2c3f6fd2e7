package l2

import (
	"slices"
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	tests := []struct {
		url    string
		addrs  []string
		master string
		db     int
		user   string
		pass   string
		tls    bool
		kind   string
	}{
		{url: "redis://localhost", addrs: []string{"localhost:6379"}},
		{url: "redis://127.0.0.1:6380/3", addrs: []string{"127.0.0.1:6380"}, db: 3},
		{url: "rediss://[::1]:6380?db=2", addrs: []string{"[::1]:6380"}, db: 2, tls: true},
		{url: "redis://[fe80::1]", addrs: []string{"[fe80::1]:6379"}},
		{url: "redis://bob:p%40ss%2Fw@h", addrs: []string{"h:6379"}, user: "bob", pass: "p@ss/w"},
		{url: "redis://:secret@h:1", addrs: []string{"h:1"}, pass: "secret"},
		{url: "redis+sentinel://a,b:26380,c/main/4", addrs: []string{"a:26379", "b:26380", "c:26379"}, master: "main", db: 4},
		{url: "rediss+sentinel://u:p@a:1?master=m&db=5&sentinel_password=s", addrs: []string{"a:1"}, master: "m", db: 5, user: "u", pass: "p", tls: true},
		{url: "redis+cluster://a:7000,b:7001", addrs: []string{"a:7000", "b:7001"}, kind: "cluster"},
		{url: "rediss+cluster://a", addrs: []string{"a:6379"}, tls: true, kind: "cluster"},
	}
	for _, test := range tests {
		t.Run(test.url, func(t *testing.T) {
			o, err := parseAddress(test.url)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(o.Addrs, test.addrs) || o.MasterName != test.master || o.DB != test.db || o.Username != test.user ||
				o.Password != test.pass || (o.TLSConfig != nil) != test.tls || o.IsClusterMode != (test.kind == "cluster") {
				t.Errorf("got %+v", o)
			}
		})
	}
}

func TestParseAddressRefuses(t *testing.T) {
	tests := map[string]string{ // url -> what the error must say
		"":                              "want one of redis, rediss",
		"http://h":                      `scheme "http"`,
		"redis+magic://h":               "want one of",
		"redis://":                      "a host is empty",
		"redis://a,b":                   "several hosts need redis+sentinel:// or redis+cluster://",
		"redis://h:0":                   "port of 1 to 65535",
		"redis://h:99999":               "port of 1 to 65535",
		"redis://::1":                   "brackets",
		"redis://h/x":                   `database "x"`,
		"redis://h/-1":                  `database "-1"`,
		"redis://h/1/2":                 "more than one database",
		"redis://h/1?db=2":              "more than one database",
		"redis://h?pool=9":              `unknown parameter "pool", known here: db`,
		"redis://h?db=%zz":              "query cannot be read",
		"redis+sentinel://a,b":          "redis+sentinel://host:port/NAME",
		"redis+sentinel://a,,b/m":       "a host is empty",
		"redis+cluster://a/1":           "database 0 only",
		"redis+cluster://a?db=1":        `unknown parameter "db"`,
		"redis://u:p%zz@h":              "broken escape",
		"redis+sentinel://a/%zz":        "broken escape",
		"redis://u:hunter2@h:x":         "port of 1 to 65535",
		"redis://u:hunter2@h/?y=1":      "unknown parameter",
		strings.Repeat("x", 9999) + ":": "...",
	}
	for url, want := range tests {
		_, err := parseAddress(url)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", clip(url), err, want)
		}
		if err != nil && (strings.Contains(err.Error(), "hunter2") || len(err.Error()) > 300) {
			t.Errorf("error shows a password or is long: %v", err)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	f.Add("redis+sentinel://u:p@a,b:1/m/2?db=1")
	f.Add("rediss://[::1]:6380?db=2")
	f.Fuzz(func(t *testing.T, url string) {
		o, err := parseAddress(url)
		if err == nil && (len(o.Addrs) == 0 || o.DB < 0) {
			t.Errorf("accepted %+v", o)
		}
	})
}
