package hostabi_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perfopt/perfopt/hostabi"
	"github.com/perfopt/perfopt/policies"
)

// ending is how a module of testdata must end: refused by Load, or by a Trial
// of its kind with that fault; or well.
type ending struct {
	module string
	kind   policies.Kind // "" = refused by Load
	fault  policies.FaultReason
	says   string // a part of the error
}

var endings = []ending{
	// What static checks find.
	{"abi-2", "", "", "version 2 of the interface, want version 1"},
	{"no-marker", "", "", `no export "pf_abi_1"`},
	{"no-init", "", "", `no export "pf_init", want a function () -> i32`},
	{"no-ttl", "", "", `no export "pf_ttl", want a function (i32) -> i32`},
	{"no-order", "", "", `no export "pf_evict"`},
	{"wrong-signature", "", "", `export "pf_ttl" has signature () -> i32, want (i32) -> i32`},
	{"import-unknown", "", "", `import "env" "fetch" is not offered`},
	{"import-signature", "", "", `import "perfopt_v1" "log" has signature (i32, i32) -> (), want (i32, i32, i32) -> ()`},
	{"import-socket", "", "", `import "wasi_snapshot_preview1" "sock_accept" is not offered`},
	{"import-memory", "", "", `import "env" "memory" is a memory: only functions can be imported`},
	{"memory-hidden", "", "", `does not export its memory`},
	{"memory-none", "", "", `declares no memory`},
	{"memory-huge", "", "", `memory of 65536 pages, at most 1024 are allowed`},
	{"memory-large", "", "", `wants 300 pages of memory at least, at most 256 are allowed`},
	{"name-fuel", "", "", `export "__pf_fuel": names with the prefix "__pf_" are reserved`},
	{"name-import", "", "", `import "__pf_fuel": names with the prefix "__pf_" are reserved`},
	{"table-huge", "", "", `table of 10000000 items, at most 100000 are allowed`},
	{"invalid", "", "", `module is not valid`},
	{"threads", "", "", `threads are not supported`},
	{"exceptions", "", "", `exceptions`},
	{"tail-call", "", "", `tail calls are not supported`},
	{"memory64", "", "", `64-bit memories`},

	// What reading the manifest finds.
	{"manifest-outside", "", "", `outside of the module's memory`},
	{"manifest-wraps", "", "", `outside of the module's memory`},
	{"manifest-huge", "", "", `manifest has 9000 bytes, want at most 8192`},
	{"manifest-empty", "", "", `manifest is empty`},
	{"manifest-text", "", "", `not the JSON that was wanted`},
	{"manifest-trailing", "", "", `goes on behind its JSON object`},
	{"manifest-wrong", "", "", `config: c: default 3: is 3, want at most 2`},
	{"manifest-loop", "", policies.FaultFuel, `pf_manifest used up`},
	{"manifest-trap", "", policies.FaultTrap, `pf_manifest trapped`},
	{"start-loop", "", policies.FaultFuel, `the start function used up`},
	{"start-trap", "", policies.FaultTrap, `the start function trapped`},
	{"start-log", "", policies.FaultTrap, `outside of the module's memory`},
	{"initialize-loop", "", policies.FaultFuel, `_initialize used up`},

	// What the first start finds.
	{"arena-zero", "ttl", policies.FaultStatus, `refused an arena`},
	{"arena-unaligned", "ttl", policies.FaultOutput, `want a multiple of 16`},
	{"arena-outside", "ttl", policies.FaultOutput, `leave the module's memory`},
	{"arena-negative", "ttl", policies.FaultOutput, `leave the module's memory`},
	{"arena-loop", "ttl", policies.FaultFuel, `pf_arena used up`},
	{"init-loop", "ttl", policies.FaultFuel, `pf_init used up`},
	{"init-trap", "ttl", policies.FaultTrap, `pf_init trapped`},
	{"init-status", "ttl", policies.FaultStatus, `pf_init returned -2 (bad input)`},
	{"init-grow", "ttl", policies.FaultMemory, `pf_init wanted to grow a memory of 256 pages`},
	{"init-recursion", "ttl", "", `pf_init`}, // out of stack or of fuel, whatever ends first

	// What a decision on trial inputs finds.
	{"ttl-loop", "ttl", policies.FaultFuel, `pf_ttl used up`},
	{"ttl-nested", "ttl", policies.FaultFuel, `pf_ttl used up`},
	{"ttl-trap", "ttl", policies.FaultTrap, `unreachable`},
	{"ttl-third", "ttl", policies.FaultTrap, `unreachable`},
	{"ttl-nan", "ttl", policies.FaultOutput, `lifetime is NaN`},
	{"ttl-negative", "ttl", policies.FaultOutput, `is negative`},
	{"ttl-rows", "ttl", policies.FaultOutput, `answered 2 rows of 1`},
	{"ttl-status", "ttl", policies.FaultStatus, `returned -3 (internal error)`},
	{"ttl-divide", "ttl", policies.FaultTrap, `divide by zero`},
	{"ttl-outside", "ttl", policies.FaultTrap, `out of bounds`},
	{"ttl-grow", "ttl", policies.FaultMemory, `wanted to grow a memory of 2 pages`},
	{"ttl-fill", "ttl", policies.FaultFuel, `used up`},
	{"ttl-copy", "ttl", policies.FaultFuel, `used up`},
	{"ttl-recursion", "ttl", policies.FaultFuel, `used up`},
	{"ttl-mutual", "ttl", policies.FaultFuel, `used up`},
	{"ttl-tree", "ttl", policies.FaultFuel, `used up`},
	{"ttl-sqrt", "ttl", policies.FaultFuel, `used up`},
	{"ttl-table", "ttl", policies.FaultMemory, `wanted to grow`},
	{"ttl-logs", "ttl", policies.FaultFuel, `used up`},
	{"ttl-logs-indirect", "ttl", policies.FaultFuel, `used up`},
	{"ttl-metric", "ttl", policies.FaultTrap, `metric: 40 of 0 declared ones`},
	{"ttl-log-outside", "ttl", policies.FaultTrap, `outside of the module's memory`},
	{"ttl-exit", "ttl", policies.FaultTrap, `ended itself with exit code 0`},
	{"score-nan", "eviction", policies.FaultOutput, `score is NaN`},
	{"score-loop", "eviction", policies.FaultFuel, `pf_score used up`},
	{"evict-range", "eviction", policies.FaultOutput, `slot 1000000, which is not resident`},
	{"evict-twice", "eviction", policies.FaultOutput, `slot 0, which is not resident`},
	{"evict-many", "eviction", policies.FaultOutput, `named 100 victims, want at most 8`},
	{"evict-none", "eviction", policies.FaultOutput, `named no victim`},
	{"evict-loop", "eviction", policies.FaultFuel, `pf_evict used up`},
	{"evict-trap", "eviction", policies.FaultTrap, `pf_evict trapped`},
	{"events-loop", "eviction", policies.FaultFuel, `pf_events used up`},
	{"events-trap", "eviction", policies.FaultTrap, `pf_events trapped`},
	{"events-status", "eviction", policies.FaultStatus, `pf_events returned -1 (unsupported)`},
	{"prefetch-unknown", "prefetch", policies.FaultOutput, `not shown`},
	{"prefetch-many", "prefetch", policies.FaultOutput, `proposed 1000 keys, want at most 32`},
	{"prefetch-loop", "prefetch", policies.FaultFuel, `pf_prefetch used up`},
	{"scale-nan", "scaling", policies.FaultOutput, `limit NaN`},
	{"scale-infinite", "scaling", policies.FaultOutput, `limit +Inf`},
	{"scale-loop", "scaling", policies.FaultFuel, `pf_scale used up`},
	{"scale-trap", "scaling", policies.FaultTrap, `pf_scale trapped`},
}

// good are the modules of testdata that a trial lets pass.
var good = map[string]policies.Kind{
	"ttl-seven": "ttl", "ttl-base": "ttl", "ttl-optional": "ttl", "ttl-warming": "ttl", "ttl-header": "ttl",
	"ttl-state": "ttl", "ttl-config": "ttl", "ttl-reports": "ttl", "ttl-floods": "ttl", "ttl-start": "ttl", "ttl-simd": "ttl",
	"ttl-clock": "ttl", "ttl-late": "ttl", "score-size": "eviction", "prefetch-first": "prefetch", "scale-up": "scaling",
	"state-endless": "ttl", "state-long": "ttl",
}

// tested elsewhere: it keeps an order and names no victims.
const bothForms = "both-order"

func TestEveryModuleHasItsEnding(t *testing.T) {
	h := newHost(t, hostabi.Options{})
	for _, e := range endings {
		t.Run(e.module, func(t *testing.T) {
			err := run(t, h, e)
			if err == nil {
				t.Fatalf("was let pass, want an error with %q", e.says)
			}
			if !strings.Contains(err.Error(), e.says) {
				t.Errorf("got %q, want it to contain %q", err, e.says)
			}
			var fault *policies.Fault
			if e.fault != "" && (!errors.As(err, &fault) || fault.Reason != e.fault) {
				t.Errorf("got %v, want a %s fault", err, e.fault)
			}
			if strings.ContainsAny(err.Error(), "\x00\x1b\t") {
				t.Errorf("error has control characters: %q", err)
			}
		})
	}
	for name, kind := range good {
		t.Run(name, func(t *testing.T) {
			if err := loadNamed(t, h, name).Trial(context.Background(), kind, nil); err != nil {
				t.Error(err)
			}
		})
	}
}

// run loads the module and tries it.
func run(t *testing.T, h *hostabi.Host, e ending) error {
	m, err := h.Load(context.Background(), wasm(t, e.module))
	if e.kind == "" || err != nil {
		if e.kind != "" {
			t.Fatalf("refused by Load: %v", err)
		}
		if err == nil {
			m.Close()
		}
		return err
	}
	defer m.Close()
	return m.Trial(context.Background(), e.kind, nil)
}

func TestEveryModuleOfTestdataIsTested(t *testing.T) {
	tested := map[string]bool{bothForms: true}
	for _, e := range endings {
		tested[e.module] = true
	}
	for name := range good {
		tested[name] = true
	}
	files, err := filepath.Glob("testdata/*.wat")
	if err != nil || len(files) < 60 {
		t.Fatalf("%d modules, %v", len(files), err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".wat")
		if !tested[name] {
			t.Errorf("%s has no ending", f)
		}
		if _, err := os.Stat("testdata/" + name + ".wasm"); err != nil {
			t.Errorf("%v: run testdata/build.sh", err)
		}
	}
}

func TestBytesThatAreNoModuleAreRefused(t *testing.T) {
	h := newHost(t, hostabi.Options{MaxModuleBytes: 4096})
	whole := wasm(t, "ttl-seven")
	for name, c := range map[string]struct {
		bytes []byte
		says  string
	}{
		"empty":     {nil, "not a WebAssembly module"},
		"text":      {[]byte("(module (memory 1))"), "not a WebAssembly module"},
		"component": {[]byte("\x00asm\x0d\x00\x01\x00"), "this is a component, want a core module"},
		"version":   {[]byte("\x00asm\x02\x00\x00\x00"), "binary format version"},
		"large":     {make([]byte, 5000), "module has 5000 bytes, at most 4096 are allowed"},
		"half":      {whole[:len(whole)/2], "unexpected end"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.Load(context.Background(), c.bytes)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
	// No prefix is let pass, but for the one that lacks the names of functions.
	passed := 0
	for n := range whole {
		if m, err := h.Load(context.Background(), whole[:n]); err == nil {
			m.Close()
			passed++
		}
	}
	if passed != 1 {
		t.Errorf("%d prefixes of a module were let pass, want 1", passed)
	}
}
