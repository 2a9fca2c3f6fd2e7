package config

import (
	"os"
	"testing"
)

func TestLocate(t *testing.T) {
	path := t.TempDir() + "/p.toml"
	if err := os.WriteFile(path, []byte("[log]\n[policy.ttl]\nuse = \"x\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := Problems{{Source: "configuration", Key: "policy.ttl", Message: "m"}, {Source: "PERFOPT_X", Key: "none", Message: "m"}}.Locate(path)
	if got[0].String() != path+":2: policy.ttl: m" || got[1].String() != "PERFOPT_X: none: m" {
		t.Errorf("got %v", got)
	}
}
