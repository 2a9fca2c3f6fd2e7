package tidy

import (
	"slices"
	"strings"
	"testing"
)

const module = "github.com/perfopt/perfopt/"

// arrows says which packages of this module a package may import outside of
// its tests. A name ending in /... stands for everything below it.
var arrows = map[string][]string{
	"policies":            {},
	"policies/features":   {"policies"},
	"policies/guard":      {"policies", "policies/features"},
	"policies/linear":     {"policies", "policies/features"},
	"policies/eviction":   {"policies", "policies/features"},
	"policies/ttl":        {"policies", "policies/features", "policies/linear"},
	"policies/prefetch":   {"policies", "policies/features", "policies/linear"},
	"policies/scaling":    {"policies"},
	"policies/builtin":    {"policies", "policies/features", "policies/linear", "policies/eviction", "policies/ttl", "policies/prefetch", "policies/scaling"},
	"policies/shipped":    {"policies"},
	"policies/policytest": {"policies", "policies/features"},

	"cache":          {"policies", "policies/features", "policies/guard", "policies/linear", "policies/eviction"},
	"cache/l2":       {"policies"},
	"cache/patterns": {"policies"},
	"cache/tiered":   {"policies", "policies/features", "cache", "cache/l2", "cache/patterns"},

	"scheduler":          {"policies", "policies/scaling", "policies/guard", "scheduler/resource"},
	"scheduler/resource": {},

	"hostabi":         {"policies", "policies/features", "hostabi/..."},
	"hostabi/abi":     {"policies"},
	"hostabi/abi/gen": {"policies", "hostabi/abi"},
	"hostabi/meter":   {},
	"hostabi/ref":     {"policies", "policies/features", "policies/builtin", "policies/shipped", "hostabi", "hostabi/abi"},

	"bench/stats":  {},
	"bench/trace":  {},
	"bench/replay": {"policies", "policies/features", "policies/guard", "cache", "scheduler", "hostabi", "hostabi/ref", "bench/trace", "bench/stats"},

	"runtime":           {"policies/...", "cache/...", "scheduler/...", "hostabi/...", "runtime/config", "runtime/proxy", "runtime/admin", "runtime/metrics", "runtime/dashboard", "runtime/journal", "bench/trace", "bench/stats"},
	"runtime/config":    {"policies"},
	"runtime/proxy":     {"policies", "cache", "cache/tiered", "scheduler"},
	"runtime/admin":     {"policies"},
	"runtime/metrics":   {"policies", "cache", "cache/l2", "cache/tiered", "scheduler"},
	"runtime/dashboard": {},
	"runtime/journal":   {},
	"runtime/demo":      {},

	"sdk/conform":       {"policies", "policies/features", "policies/guard", "policies/policytest", "hostabi", "hostabi/abi"},
	"sdk/scaffold":      {"policies"},
	"sdk/scaffold/gen":  {"sdk/scaffold"},
	"internal/check":    {},
	"internal/readme":   {},
	"internal/tidy":     {},
	"internal/terminal": {},
	"docs":              {},

	"cmd/perfoptd": {"cache/l2", "runtime", "runtime/config", "runtime/demo", "docs"},
	"cmd/perfopt":  {"policies/...", "hostabi/...", "bench/...", "sdk/conform", "sdk/scaffold", "runtime/config", "internal/terminal"},
}

// doors says which package alone may import a third-party module.
var doors = map[string][]string{
	"github.com/tetratelabs/wazero":       {"hostabi"},
	"github.com/redis/go-redis":           {"cache/l2"},
	"github.com/shirou/gopsutil":          {"scheduler/resource"},
	"gonum.org/v1/gonum":                  {"bench/stats"},
	"github.com/BurntSushi/toml":          {"runtime/config", "cmd/perfopt"},
	"github.com/prometheus/client_golang": {"runtime/metrics"},
	"github.com/blevesearch/bleve":        {"runtime/demo"},
}

func allowed(list []string, pkg string) bool {
	return slices.ContainsFunc(list, func(entry string) bool {
		if tree, ok := strings.CutSuffix(entry, "/..."); ok {
			return pkg == tree || strings.HasPrefix(pkg, tree+"/")
		}
		return entry == pkg
	})
}

func TestArrows(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range sources(t) {
		list, known := arrows[f.pkg]
		if !known {
			if !seen[f.pkg] {
				t.Errorf("package %s has no entry in arrows: say what it may import", f.pkg)
			}
			seen[f.pkg] = true
			continue
		}
		seen[f.pkg] = true
		if f.test {
			continue
		}
		for _, path := range f.imports {
			if pkg, ours := strings.CutPrefix(path, module); ours && !allowed(list, pkg) {
				t.Errorf("%s imports %s: package %s must not know it", f.path, pkg, f.pkg)
			}
			if f.pkg == "policies" && strings.Contains(strings.Split(path, "/")[0], ".") {
				t.Errorf("%s imports %s: policies uses the standard library only", f.path, path)
			}
		}
	}
	for pkg := range arrows {
		if !seen[pkg] {
			t.Errorf("arrows has an entry for %s, which is not there", pkg)
		}
	}
}

func TestDoors(t *testing.T) {
	for _, f := range sources(t) {
		if f.test {
			continue
		}
		for _, path := range f.imports {
			for module, owners := range doors {
				if strings.HasPrefix(path, module) && !slices.Contains(owners, f.pkg) && !strings.HasPrefix(f.pkg, "hostabi/") {
					t.Errorf("%s imports %s: only %s may", f.path, path, strings.Join(owners, ", "))
				}
			}
		}
	}
}
