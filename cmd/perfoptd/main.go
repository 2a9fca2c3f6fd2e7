// Command perfoptd is a caching HTTP reverse proxy in front of an origin, whose
// decisions (eviction, TTL, prefetch, scaling) are policies that can be
// exchanged while it runs. With no origin configured it serves a demo.
//
//	perfoptd [-config policies.toml] [-dev] [-check] [-version] [-set KEY=VALUE]...
//
// Flags win over PERFOPT_* environment variables, those over the file, that
// over the defaults. SIGHUP reads the file again; SIGTERM or SIGINT drains and
// ends, a second one ends at once. It exits with 0, with 1 when it failed
// while running, and with 2 when it was called or configured wrongly.
//
// The command must not know how anything works: it reads flags, handles
// signals and prints.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	hclog "github.com/hashicorp/go-hclog"

	"github.com/perfopt/perfopt/cache/l2"
	perfopt "github.com/perfopt/perfopt/runtime"
	"github.com/perfopt/perfopt/runtime/config"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// settings collects repeated -set flags.
type settings []string

func (s *settings) String() string { return strings.Join(*s, " ") }

func (s *settings) Set(v string) error {
	*s = append(*s, v)
	return nil
}

// options are the flags.
type options struct {
	config  string
	dev     bool
	check   bool
	version bool
	set     settings
}

func run(args []string, stdout, stderr io.Writer) int {
	var o options
	flags := flag.NewFlagSet("perfoptd", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.config, "config", "policies.toml", "the configuration `file`")
	flags.BoolVar(&o.dev, "dev", false, "start a redis-server for the second cache tier, if one is on PATH and none is configured")
	flags.BoolVar(&o.check, "check", false, "validate the configuration and exit")
	flags.BoolVar(&o.version, "version", false, "print the version and exit")
	flags.Var(&o.set, "set", "set one key, as in -set cache.capacity=64MiB (repeatable)")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "perfoptd: unexpected argument %q: see perfoptd -help\n", flags.Arg(0))
		return 2
	}
	if o.version {
		fmt.Fprintln(stdout, "perfoptd", version())
		return 0
	}
	path, err := configPath(o.config, flags)
	if err != nil {
		fmt.Fprintln(stderr, "perfoptd:", err)
		return 2
	}
	read := perfopt.ReadConfig(path, o.set)
	cfg, err := read()
	if err != nil {
		fmt.Fprintf(stderr, "perfoptd: the configuration is not usable:\n%s\n", indent(err))
		return 2
	}
	if o.check {
		fmt.Fprintf(stdout, "%s is valid\n", describePath(path))
		return 0
	}
	d := &daemon{cfg: cfg, path: path, dev: o.dev, read: read, stdout: stdout, stderr: stderr}
	return d.run()
}

// configPath returns the file to read; "" where the default one does not
// exist, which means defaults.
func configPath(path string, flags *flag.FlagSet) (string, error) {
	_, err := os.Stat(path)
	if err == nil {
		return path, nil
	}
	said := false
	flags.Visit(func(f *flag.Flag) { said = said || f.Name == "config" })
	if errors.Is(err, os.ErrNotExist) && !said {
		return "", nil
	}
	return "", fmt.Errorf("configuration: %w", err)
}

func describePath(path string) string {
	if path == "" {
		return "the built-in configuration (there is no policies.toml here)"
	}
	return path
}

func indent(err error) string {
	return "  " + strings.ReplaceAll(err.Error(), "\n", "\n  ")
}

// version returns the module's version or the revision it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return "devel " + s.Value[:min(12, len(s.Value))]
		}
	}
	return "devel"
}

// daemon is one run of the command.
type daemon struct {
	cfg            config.Config
	path           string
	dev            bool
	read           func() (config.Config, error)
	stdout, stderr io.Writer
}

func (d *daemon) run() int {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	log := hclog.New(&hclog.LoggerOptions{
		Name: "perfoptd", Level: hclog.LevelFromString(d.cfg.Log.Level), Output: d.stderr, JSONFormat: d.cfg.Log.Format == "json",
	})
	fail := func(err error) int {
		fmt.Fprintf(d.stderr, "perfoptd: it cannot start:\n%s\n", indent(err))
		return 2
	}
	l2.QuietClient() // what Redis does is told by our own log
	var notes []string
	read := d.read
	if d.dev {
		redis, note, err := startRedis(d.cfg)
		if err != nil {
			return fail(err)
		}
		notes = append(notes, note)
		if redis != nil {
			defer redis.stop(log)
			d.cfg.Cache.L2.URL = redis.url
			read = func() (config.Config, error) {
				cfg, err := d.read()
				if err == nil && cfg.Cache.L2.URL == "" {
					cfg.Cache.L2.URL = redis.url
				}
				return cfg, err
			}
		}
	}
	options := []perfopt.Option{perfopt.WithLogger(log), perfopt.WithVersion(version()), perfopt.WithSource(read, filepath.Dir(d.path))}
	front := "in front of " + d.cfg.Origin.URL
	if d.cfg.Origin.URL == "" {
		origin, err := startDemo()
		if err != nil {
			return fail(err)
		}
		defer origin.stop()
		front = "in front of the demo origin, " + origin.title + ", at " + origin.url
		u, err := url.Parse(origin.url)
		if err != nil {
			return fail(err)
		}
		options = append(options, perfopt.WithOrigin(u))
	}
	rt, err := perfopt.New(d.cfg, options...)
	if err != nil {
		return fail(err)
	}
	if err := rt.Start(context.Background()); err != nil {
		_ = rt.Shutdown(context.Background()) // the start's error is what matters
		return fail(err)
	}
	d.welcome(rt, front, notes)
	return d.serve(rt, log, signals)
}

// serve waits for signals until the daemon has ended.
func (d *daemon) serve(rt *perfopt.Runtime, log hclog.Logger, signals <-chan os.Signal) int {
	for s := range signals {
		if s != syscall.SIGHUP {
			break
		}
		if _, _, err := rt.Reload(context.Background()); err != nil {
			fmt.Fprintf(d.stderr, "perfoptd: the configuration in force stays, the file is not usable:\n%s\n", indent(err))
		}
	}
	log.Info("draining: requests in flight end, nothing more is accepted", "timeout", d.cfg.Proxy.DrainTimeout)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		for s := range signals {
			if s != syscall.SIGHUP {
				cancel() // a second signal ends it now
				return
			}
		}
	}()
	start := time.Now()
	if err := rt.Shutdown(ctx); err != nil {
		log.Error("ended with something left", "error", err, "after", time.Since(start).Round(time.Millisecond))
		return 1
	}
	log.Info("ended", "after", time.Since(start).Round(time.Millisecond))
	return 0
}
