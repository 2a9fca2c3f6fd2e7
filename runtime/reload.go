package perfopt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	hclog "github.com/hashicorp/go-hclog"

	"github.com/perfopt/perfopt/policies/builtin"
	"github.com/perfopt/perfopt/runtime/config"
	"github.com/perfopt/perfopt/runtime/journal"
	"github.com/perfopt/perfopt/scheduler"
)

// ReadConfig returns a function that reads a configuration file and the
// environment, and then applies settings of the form "key=value", which win.
// The state folder is filled in where the configuration names none.
func ReadConfig(path string, settings []string) func() (Config, error) {
	return func() (Config, error) { return readConfig(path, settings) }
}

func readConfig(path string, settings []string) (Config, error) {
	cfg, err := config.Load(path, os.Environ(), checkBuiltins)
	if err != nil {
		return Config{}, err
	}
	for _, setting := range settings {
		key, value, ok := strings.Cut(setting, "=")
		if !ok {
			return Config{}, fmt.Errorf("setting %q: want KEY=VALUE, such as cache.capacity=64MiB", setting)
		}
		if err := cfg.Set(key, value); err != nil {
			return Config{}, err
		}
	}
	if cfg.State.Dir, err = StateDir(cfg); err != nil {
		return Config{}, err
	}
	var problems config.Problems
	if err := check(cfg); errors.As(err, &problems) {
		return Config{}, problems.Locate(path)
	} else if err != nil {
		return Config{}, err
	}
	return cfg, nil
}

// check reports everything that is wrong with a configuration, names and
// settings of built-in policies included.
func check(cfg Config) error {
	var problems config.Problems
	if err := cfg.Validate(); err != nil && !errors.As(err, &problems) {
		return err
	}
	problems = append(problems, checkBuiltins(cfg)...)
	if len(problems) > 0 {
		return problems
	}
	return nil
}

// checkStrictScaling refuses the strict rule without a number to aim at: with
// an automatic target it would never grow.
func checkStrictScaling(cfg Config) config.Problems {
	p := cfg.Policy.Scaling
	strict, _ := p.Config["strict"].(bool)
	_, own := p.Config["target_ms"]
	if p.Use != "builtin:linear" || !strict || own || cfg.Scheduler.TargetLatency != 0 {
		return nil
	}
	return config.Problems{{
		Source: "configuration", Key: "policy.scaling.config",
		Message: `strict wants a number to aim at: set scheduler.target_latency = "200ms", or target_ms here`,
	}}
}

// checkBuiltins asks the built-in policies about their names and settings.
func checkBuiltins(cfg Config) config.Problems {
	var problems config.Problems
	for key, p := range cfg.Policies() {
		name, ok := strings.CutPrefix(p.Policy.Use, "builtin:")
		if !ok || name == "" {
			continue
		}
		if err := builtin.Validate(string(p.Kind), name, p.Policy.Config); err != nil {
			part := ".config"
			if !slices.Contains(builtin.Names(p.Kind), name) {
				part = ".use"
			}
			problems = append(problems, config.Problem{Source: "configuration", Key: key + part, Message: err.Error()})
		}
	}
	return append(problems, checkStrictScaling(cfg)...)
}

// Reload reads the configuration again and applies what differs. Seats whose
// text is the same keep their policy, pushed ones included. When anything is
// wrong, nothing is changed. It returns the keys that took effect and those
// that take effect at the next start only.
func (rt *Runtime) Reload(ctx context.Context) (changed, restart []string, err error) {
	rt.reload.Lock()
	defer rt.reload.Unlock()
	if rt.readConfig == nil {
		return nil, nil, errors.New("this runtime was not built from a file: there is nothing to read again")
	}
	next, err := rt.readConfig()
	if err != nil {
		rt.log.Error("reload refused, the configuration in force stays", "error", err)
		return nil, nil, err
	}
	return rt.apply(ctx, next)
}

// live are the prefixes of keys that a reload changes; seats are compared on
// their own.
var live = []string{"log.level", "guard.", "scheduler.min_limit", "scheduler.max_limit", "scheduler.target_latency",
	"route", "proxy.trusted_proxies", "proxy.max_body", "proxy.show_key", "proxy.drain_timeout", "origin.timeout",
	"cache.ttl_", "cache.adaptive_ttl", "listen.admin_token"}

// apply changes the running parts to what next says, or nothing.
func (rt *Runtime) apply(ctx context.Context, next Config) (changed, restart []string, err error) {
	former := rt.config()
	for _, key := range config.Diff(*former, next) {
		switch {
		case strings.Contains("."+key, ".policy."):
		case slices.ContainsFunc(live, func(prefix string) bool { return strings.HasPrefix(key, prefix) }):
			changed = append(changed, key)
		default:
			restart = append(restart, key)
		}
	}
	token, err := readToken(next.Listen.AdminToken)
	if err != nil {
		return nil, nil, err
	}
	if rt.front != nil { // before anything is changed
		if err := rt.front.check(next); err != nil {
			return nil, nil, err
		}
	}
	rt.cfg.Store(&next)
	swapped, err := rt.reloadSeats(ctx, *former)
	if err != nil {
		rt.cfg.Store(former)
		return nil, nil, err
	}
	for _, s := range rt.seatList() {
		if h, _ := s.holds(); h != nil {
			h.health.SetLimits(guardLimits(&next))
		}
	}
	rt.faces.token.Store(&token)
	rt.log.SetLevel(hclog.LevelFromString(next.Log.Level))
	s := next.Scheduler
	if err := rt.scheduler.SetBounds(scheduler.Bounds{MinLimit: s.MinLimit, MaxLimit: s.MaxLimit, Target: s.TargetLatency.Std()}); err != nil {
		rt.log.Error("the bounds of the limit stay", "error", err)
	}
	if rt.front != nil {
		if err := rt.front.reload(next); err != nil {
			rt.log.Error("the rules for requests stay", "error", err)
		}
	}
	changed = append(changed, swapped...)
	rt.log.Info("configuration read again", "changed", changed, "at_next_start", restart)
	rt.events.publish("reload", map[string][]string{"changed": changed, "restart": restart})
	return changed, restart, nil
}

// reloadSeats puts what the file says now into the seats whose text differs.
// If one cannot, those before it get their former policy back.
func (rt *Runtime) reloadSeats(ctx context.Context, former Config) (changed []string, err error) {
	var done []*seat
	for _, s := range rt.seatList() {
		_, cache, _ := strings.Cut(string(s.name), "@")
		was := former.Resolved(cache).Policy.Of(s.kind)
		is := rt.fileSpec(s.name)
		wasOff := former.Cache.AdaptiveTTL != rt.config().Cache.AdaptiveTTL && s.kind == "ttl"
		if reflect.DeepEqual(was, is) && !wasOff {
			continue
		}
		if err := s.use(ctx, change{spec: is, source: journal.SourceFile, trial: true}); err != nil {
			errs := []error{fmt.Errorf("policy.%s: %w", s.name, err)}
			for _, d := range done {
				errs = append(errs, d.rollback(ctx, "reload"))
			}
			return nil, errors.Join(errs...)
		}
		done = append(done, s)
		changed = append(changed, "policy."+string(s.name))
	}
	return changed, nil
}
