// Package hostabi runs policies that are WebAssembly modules: it is the only
// package that knows wazero, and everything it hands out is an interface of
// package policies.
//
//   - [Host] holds what modules share: limits and the cache of compiled code.
//   - [Host.Load] reads, checks, meters and compiles a module. Every refusal
//     says what was wanted.
//   - [Module] is a loaded module: its [Manifest], its digest, and a
//     constructor for each kind of policy. [Module.Trial] runs it on inputs made
//     for the purpose, so that nonsense is refused before it decides anything.
//   - [Env] is what an instance is given: config, clock, seed, logger.
//
// How a module is contained. It is read strictly and rewritten by package
// meter, so that every call has a budget of fuel and an endless loop ends; its
// memory has a cap; it can import nothing but a log line, a metric and the
// system calls that the runtime of a Go guest makes, which this package answers
// without giving anything away. A call that traps, runs out of fuel, or
// answers what cannot be used is a *[policies.Fault]; the instance behind it is
// spent. Whether an answer is sensible (bounds, victims that are resident) is
// for package guard to check.
//
// How a call crosses. The module hands over one block of its memory, the arena,
// at its start. The host copies a header and columns into it, calls one export,
// and copies the answer out: nothing is allocated and nothing is serialised by
// a call. Package abi describes every byte.
//
// Caveats. Closing an instance waits for its call in flight. A module keeps its
// compiled code until it and every instance of it are closed. Compiling has no
// meter, only the limits that are checked before it. A Go guest costs half a
// second to compile, or 20 ms from the cache on disk.
//
// This package must not know which seats there are, where modules are stored,
// or how they are named in a configuration.
package hostabi

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"github.com/hashicorp/go-hclog"
	"github.com/tetratelabs/wazero"

	"github.com/perfopt/perfopt/hostabi/abi"
	"github.com/perfopt/perfopt/hostabi/meter"
	"github.com/perfopt/perfopt/policies"
)

// Options configure a [Host]. The zero value is the recommended one.
type Options struct {
	// CacheDir is a folder for compiled code, made with mode 0700 where it is
	// missing. Who can write there can run code in this process. Default: none,
	// compiled code is kept in memory only.
	CacheDir string
	// MaxModuleBytes bounds a module. Default 4 MiB.
	MaxModuleBytes int
	// MemoryPages caps an instance's memory, in pages of 64 KiB. An order of
	// eviction may have 64 bytes a slot beside. Default 256.
	MemoryPages uint32
	// MemoryPagesGo is the cap of Go guests. Default 1024.
	MemoryPagesGo uint32
	// Fuel is the budgets of calls.
	Fuel Fuel
	// Interpreter runs modules by wazero's interpreter, 50 to 300 times slower.
	// Without it New refuses machines for which wazero has no compiler.
	Interpreter bool
	// Logger receives the lines that modules log. Default: none.
	Logger hclog.Logger
	// Now is the clock of instances whose Env has none. Default: the real one.
	Now func() policies.Nanos
}

// Fuel is what calls may use, in units of about one simple instruction. Zero
// fields take the defaults.
type Fuel struct {
	Call   int64 // every call; default 50,000
	CallGo int64 // the same for Go guests, whose collector may run in any call; default 2,000,000
	Row    int64 // in addition for each row, event or wanted victim; default 4,000
	RowGo  int64 // the same for Go guests; default 16,000
	Max    int64 // bound of a call; default 5,000,000
	MaxGo  int64 // the same for Go guests; default 17,000,000
	Init   int64 // instantiation, _initialize, pf_manifest, pf_arena and pf_init, each; default 50,000,000
	Slot   int64 // in addition for pf_init of an order of eviction, for each slot; default 100
	Host   int64 // one call of a host function; default 500
}

func (f Fuel) withDefaults() Fuel {
	set := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&f.Call, 50_000)
	set(&f.CallGo, 2_000_000)
	set(&f.Row, 4_000)
	set(&f.RowGo, 16_000)
	set(&f.Max, 5_000_000)
	set(&f.MaxGo, 17_000_000)
	set(&f.Init, 50_000_000)
	set(&f.Slot, 100)
	set(&f.Host, 500)
	return f
}

// Host loads modules. Safe for concurrent use.
type Host struct {
	o     Options
	cache wazero.CompilationCache

	mu sync.Mutex // guards the fields below
	// open counts the modules whose compiled code is alive.
	open   int
	closed bool
}

// New returns a host. ctx is used for the duration of the call only.
func New(_ context.Context, o Options) (*Host, error) {
	if o.MaxModuleBytes <= 0 {
		o.MaxModuleBytes = meter.DefaultLimits().Bytes
	}
	if o.MemoryPages == 0 {
		o.MemoryPages = 256
	}
	if o.MemoryPagesGo == 0 {
		o.MemoryPagesGo = 1024
	}
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	if o.Now == nil {
		o.Now = func() policies.Nanos { return policies.Nanos(time.Now().UnixNano()) }
	}
	o.Fuel = o.Fuel.withDefaults()
	if !littleEndian() {
		return nil, errors.New("WebAssembly policies need a little-endian machine")
	}
	if !o.Interpreter && runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		return nil, fmt.Errorf("there is no WebAssembly compiler for %s: run policies by the interpreter, slowly, or use built-in ones", runtime.GOARCH)
	}
	cache, err := newCache(o.CacheDir)
	if err != nil {
		return nil, err
	}
	return &Host{o: o, cache: cache}, nil
}

func newCache(dir string) (wazero.CompilationCache, error) {
	if dir == "" {
		return wazero.NewCompilationCache(), nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cache of compiled policies: %w", err)
	}
	// It holds code that this process will run.
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cache of compiled policies: %w", err)
	}
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return nil, fmt.Errorf("cache of compiled policies: %w", err)
	}
	return cache, nil
}

// Close releases the cache of compiled code. It fails while modules are open:
// their code lives there. Safe to call twice.
func (h *Host) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil
	}
	if h.open > 0 {
		return fmt.Errorf("%d policy modules are still open: close them first", h.open)
	}
	h.closed = true
	return h.cache.Close(context.Background())
}

func (h *Host) opened() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return errors.New("the host of policy modules is closed")
	}
	h.open++
	return nil
}

func (h *Host) released() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open--
}

// runtimeConfig never asks wazero to watch a context: that slows every loop,
// and stops one late. Fuel stops it.
// Memory is bounded by the allowance that the metered code respects, because it
// depends on the slots; wazero's own limit is what the format allows.
func (h *Host) runtimeConfig() wazero.RuntimeConfig {
	c := wazero.NewRuntimeConfigCompiler()
	if h.o.Interpreter {
		c = wazero.NewRuntimeConfigInterpreter()
	}
	return c.WithCoreFeatures(coreFeatures).
		WithCompilationCache(h.cache).
		WithDebugInfoEnabled(false)
}

func (h *Host) limits() meter.Limits {
	l := meter.DefaultLimits()
	l.Bytes = h.o.MaxModuleBytes
	l.MemoryPages = max(h.o.MemoryPages, h.o.MemoryPagesGo)
	return l
}

func littleEndian() bool {
	n := uint32(abi.Magic)
	return *(*byte)(unsafe.Pointer(&n)) == byte(abi.Magic&0xFF)
}
