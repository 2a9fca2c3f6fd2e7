package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/go-hclog"

	"github.com/perfopt/perfopt/hostabi"
	"github.com/perfopt/perfopt/internal/terminal"
)

// maxModuleBytes is what a daemon takes by default.
const maxModuleBytes = 4 << 20

// loaded is a module and the host that runs it.
type loaded struct {
	*hostabi.Module
	host *hostabi.Host
}

// load reads, checks and compiles a module. refused says that the file was
// read and the module is not one that a daemon would take.
func (e *env) load(ctx context.Context, file string) (m *loaded, refused bool, err error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, false, err
	}
	if info.IsDir() {
		return nil, false, fmt.Errorf("%s is a folder: build it first (perfopt policy build %s) and give the .wasm file", file, file)
	}
	if info.Size() > maxModuleBytes {
		return nil, true, fmt.Errorf("%s: %s: want at most %s", file, terminal.Bytes(info.Size()), terminal.Bytes(maxModuleBytes))
	}
	wasm, err := os.ReadFile(file)
	if err != nil {
		return nil, false, err
	}
	host, err := hostabi.New(ctx, hostabi.Options{CacheDir: e.cacheDir(), Logger: hclog.New(&hclog.LoggerOptions{
		Name: "module", Output: e.stderr, Level: hclog.Info, DisableTime: true})})
	if err != nil {
		return nil, false, err
	}
	progress := terminal.Start(e.stderr, terminal.IsTerminal(e.stderr), "compiling "+file)
	module, err := host.Load(ctx, wasm)
	progress.Stop()
	if err != nil {
		return nil, true, errors.Join(fmt.Errorf("%s: %w", file, err), host.Close())
	}
	return &loaded{module, host}, false, nil
}

func (m *loaded) close() error { return errors.Join(m.Module.Close(), m.host.Close()) }

// cacheDir is where compiled modules are kept for the next run; "" keeps none.
func (e *env) cacheDir() string {
	dir := e.getenv("XDG_CACHE_HOME")
	if dir == "" {
		var err error
		if dir, err = os.UserCacheDir(); err != nil {
			return ""
		}
	}
	return filepath.Join(dir, "perfopt", "compiled")
}

// kindNames lists the kinds of a module, with the form of an eviction policy.
func (m *loaded) kindNames() string {
	var names []string
	for _, k := range m.Kinds() {
		name := string(k)
		if k == "eviction" && m.Scores() {
			name += " (scores)"
		} else if k == "eviction" {
			name += " (order)"
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}
