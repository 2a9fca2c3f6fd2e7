package perfopt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	hclog "github.com/hashicorp/go-hclog"

	"github.com/perfopt/perfopt/hostabi/ref"
	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/guard"
	"github.com/perfopt/perfopt/runtime/config"
	"github.com/perfopt/perfopt/runtime/journal"
)

// seat is where a policy sits. It opens policies, puts instances of them under
// guard into their owner, replaces an instance after a fault, and hands the
// seat to the last good policy when one is put in quarantine.
//
// Locks: turn, then mu. An exchange holds turn from opening the policy, which
// may take a second, to the end; the guard's callbacks therefore only start a
// goroutine. mu is held for moments only, so that a seat can always be
// described.
type seat struct {
	name  policies.Seat
	kind  policies.Kind
	rt    *Runtime
	owner owner

	turn sync.Mutex

	mu sync.Mutex
	// guards the fields below; written with turn held
	held   *held
	closed bool
}

// holds returns what the seat holds; nil before the first exchange.
func (s *seat) holds() (h *held, closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held, s.closed
}

// owner adopts an instance of a policy of one kind. It wraps the instance in a
// guard with that health, closes the former instance, and returns only when no
// call of the former one is in flight.
type owner interface {
	adopt(ctx context.Context, loaded *ref.Loaded, env ref.Env, health *guard.Health) error
	// release takes the instance away and closes it; the owner ends next.
	release()
	// off says why no policy is asked in this seat; "" = one is.
	off() string
}

// held is what a seat holds.
type held struct {
	loaded *ref.Loaded
	spec   config.Policy
	entry  journal.Entry
	health *guard.Health
}

// change is a wish to put a policy in a seat.
type change struct {
	spec     config.Policy
	module   []byte // bytes of a module that is not known yet; nil = spec.Use says it
	source   journal.Source
	who, why string
	restores uint64
	bad      bool // what sits there now goes to quarantine
	trial    bool // run it on golden inputs before anything is changed
	restore  bool // a restart: the journal has the entry already
}

// errNotKept is returned where the policy sits in its seat, but the state
// folder could not take it, so that the next start will not know of it.
var errNotKept = errors.New("the policy is seated, but not kept for the next start")

// use puts a policy in the seat. On any error but [errNotKept] the seat is as
// before.
func (s *seat) use(ctx context.Context, c change) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	return s.exchange(ctx, c)
}

// exchange is use with turn held.
func (s *seat) exchange(ctx context.Context, c change) error {
	former, closed := s.holds()
	if closed {
		return errClosed
	}
	loaded, err := s.open(ctx, c)
	if err != nil {
		return err
	}
	health := s.newHealth()
	if err := s.owner.adopt(ctx, loaded, s.env(loaded), health); err != nil {
		return errors.Join(fmt.Errorf("seat %s: %w", s.name, err), loaded.Close())
	}
	entry, notKept := s.record(c, loaded)
	now := &held{loaded: loaded, spec: c.spec, entry: entry, health: health}
	s.mu.Lock()
	s.held = now
	s.mu.Unlock()
	s.rt.policyMetrics.seated(string(s.name), loaded)
	if former != nil {
		if err := former.loaded.Close(); err != nil {
			s.rt.log.Warn("a policy did not close", "seat", s.name, "policy", former.entry.Name, "error", err)
		}
	}
	level := hclog.Info
	if former == nil {
		level = hclog.Debug // the start lists what sits where
	}
	s.rt.log.Log(level, "policy seated", "seat", s.name, "policy", entry.Name, "use", entry.Use, "source", entry.Source, "why", entry.Why)
	s.rt.events.publish("policy", s.describeHeld(now))
	if notKept != nil {
		s.rt.log.Error("a change of a seat could not be kept for the next start", "seat", s.name, "error", notKept)
		return fmt.Errorf("seat %s: %w: %w", s.name, errNotKept, notKept)
	}
	return nil
}

func (s *seat) open(ctx context.Context, c change) (*ref.Loaded, error) {
	options := ref.OpenOptions{Config: c.spec.Config, SHA256: c.spec.SHA256, Trial: c.trial}
	module := c.module
	if module == nil && isPath(c.spec.Use) {
		var err error
		if module, err = s.rt.readModule(c.spec.Use); err != nil {
			return nil, err
		}
	}
	if module == nil {
		return s.rt.resolver.Open(ctx, s.kind, c.spec.Use, options)
	}
	loaded, err := s.rt.resolver.OpenBytes(ctx, s.kind, module, options)
	if err != nil {
		return nil, err
	}
	if _, err := s.rt.journal.PutModule(module); err != nil {
		return nil, errors.Join(err, loaded.Close())
	}
	return loaded, nil
}

// isPath reports whether a reference names a file.
func isPath(use string) bool {
	scheme, _, ok := strings.Cut(use, ":")
	return strings.HasSuffix(use, ".wasm") && !(ok && slices.Contains([]string{"builtin", "shipped", "sha256"}, scheme))
}

func (s *seat) env(loaded *ref.Loaded) ref.Env {
	name := loaded.Info().Name
	return ref.Env{
		Now:    s.rt.now,
		Seed:   s.rt.seed,
		Logger: s.rt.log.Named("policy").With("seat", string(s.name), "policy", name),
		Metric: s.rt.policyMetrics.sink(string(s.name), loaded),
	}
}

func (s *seat) newHealth() *guard.Health {
	o := guardLimits(s.rt.config())
	o.OnFault = func(f *policies.Fault) { s.rt.background(func(ctx context.Context) { s.replaceInstance(ctx, f) }) }
	o.OnQuarantine = func(why string) { s.rt.background(func(ctx context.Context) { s.quarantine(ctx, why) }) }
	return guard.NewHealth(o)
}

func guardLimits(cfg *Config) guard.Options {
	g := cfg.Guard
	return guard.Options{Faults: g.Faults, Window: g.Window.Std(), Ratio: float64(g.Ratio), MinCalls: uint64(g.MinCalls)}
}

// record writes the change into the journal, unless it says nothing new: the
// same policy from the same file, or the restart of what was there.
func (s *seat) record(c change, loaded *ref.Loaded) (journal.Entry, error) {
	info := loaded.Info()
	entry := journal.Entry{
		Seat: string(s.name), Source: c.source, Who: c.who, Why: c.why, Use: c.spec.Use, Name: info.Name,
		Version: info.Version, Digest: loaded.Digest(), Restores: c.restores, Bad: c.bad, At: time.Now().UTC(),
		FileText: fileText(s.rt.fileSpec(s.name)),
	}
	if c.module != nil {
		entry.Use = "sha256:" + entry.Digest
	}
	if len(c.spec.Config) > 0 {
		text, err := json.Marshal(c.spec.Config)
		if err != nil {
			return entry, err
		}
		entry.Config = text
	}
	last, known := s.rt.journal.Current(string(s.name))
	if known && c.restore {
		return last, nil
	}
	if known && c.source == journal.SourceFile && last.Source == c.source && last.FileText == entry.FileText && last.Digest == entry.Digest {
		return last, nil
	}
	kept, err := s.rt.journal.Append(entry)
	if err != nil {
		return entry, err
	}
	return kept, nil
}

// replaceInstance puts a fresh instance of the policy in place of one that
// committed a fault.
func (s *seat) replaceInstance(ctx context.Context, f *policies.Fault) {
	s.turn.Lock()
	defer s.turn.Unlock()
	h, closed := s.holds()
	s.rt.log.Warn("policy fault: the built-in decided", "seat", s.name, "policy", f.Policy, "reason", f.Reason, "detail", f.Detail)
	s.rt.events.publish("fault", map[string]string{"seat": string(s.name), "policy": f.Policy, "reason": string(f.Reason), "detail": f.Detail})
	if closed || h == nil || h.health.Quarantined() || h.entry.Name != f.Policy {
		return
	}
	if err := s.owner.adopt(ctx, h.loaded, s.env(h.loaded), h.health); err != nil {
		s.rt.log.Error("no fresh instance of the policy, the built-in goes on deciding", "seat", s.name, "policy", f.Policy, "error", err)
	}
}

// quarantine hands the seat to what it held before, else to the built-in.
func (s *seat) quarantine(ctx context.Context, why string) {
	s.turn.Lock()
	defer s.turn.Unlock()
	h, closed := s.holds()
	if closed || h == nil || !h.health.Quarantined() {
		return
	}
	bad := h.entry
	s.rt.log.Error("policy in quarantine", "seat", s.name, "policy", bad.Name, "digest", bad.Digest, "why", why)
	c := change{source: journal.SourceQuarantine, why: bad.Name + ": " + why, bad: true}
	if before, ok := s.rt.journal.Before(string(s.name)); ok {
		c.spec, c.restores = specOf(before), before.ID
		err := s.exchange(ctx, c)
		if err == nil || errors.Is(err, errNotKept) {
			return
		}
		s.rt.log.Error("the policy before it cannot be opened", "seat", s.name, "use", before.Use, "error", err)
	}
	c.spec, c.restores = config.Policy{Use: "builtin:linear"}, 0
	if err := s.exchange(ctx, c); err != nil && !errors.Is(err, errNotKept) {
		s.rt.log.Error("the built-in policy cannot be seated", "seat", s.name, "error", err)
	}
}

// rollback returns the seat to what it held before.
func (s *seat) rollback(ctx context.Context, who string) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	before, ok := s.rt.journal.Before(string(s.name))
	if !ok {
		return fmt.Errorf("seat %s held nothing else before: there is nothing to roll back to", s.name)
	}
	return s.exchange(ctx, change{
		spec: specOf(before), source: journal.SourceRollback, who: who, restores: before.ID,
		why: fmt.Sprintf("back to %s of %s", before.Name, before.At.Format(time.RFC3339)),
	})
}

// restore is the first exchange of a seat: what it held when the process
// ended, unless policies.toml says something else since. A state folder that
// cannot be written is told and is no reason not to serve.
func (s *seat) restore(ctx context.Context) error {
	spec := s.rt.fileSpec(s.name)
	if last, ok := s.rt.journal.Current(string(s.name)); ok && last.Source != journal.SourceFile && last.FileText == fileText(spec) {
		err := s.use(ctx, change{spec: specOf(last), source: last.Source, restore: true})
		if err == nil {
			return nil
		}
		s.rt.log.Error("what the seat held cannot be opened, policies.toml decides", "seat", s.name, "use", last.Use, "error", err)
	}
	err := s.use(ctx, change{spec: spec, source: journal.SourceFile})
	if errors.Is(err, errNotKept) {
		return nil
	}
	return err
}

func (s *seat) close() error {
	s.turn.Lock()
	defer s.turn.Unlock()
	h, closed := s.holds()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	if closed || h == nil {
		return nil
	}
	s.owner.release()
	return h.loaded.Close()
}

// specOf returns what opens the policy of an entry again.
func specOf(e journal.Entry) config.Policy {
	spec := config.Policy{Use: e.Use}
	if isPath(e.Use) {
		spec.Use = "sha256:" + e.Digest // the bytes of that time, whatever the file holds by now
	}
	if len(e.Config) > 0 {
		_ = json.Unmarshal(e.Config, &spec.Config) // the journal holds what was marshalled here
	}
	return spec
}

// fileText identifies what policies.toml says of a seat.
func fileText(spec config.Policy) string {
	text, err := json.Marshal(spec)
	if err != nil {
		return ""
	}
	return string(text)
}
