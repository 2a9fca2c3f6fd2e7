package perfopt

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	hclog "github.com/hashicorp/go-hclog"

	"github.com/perfopt/perfopt/hostabi"
	"github.com/perfopt/perfopt/hostabi/ref"
	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/runtime/config"
	"github.com/perfopt/perfopt/runtime/journal"
	"github.com/perfopt/perfopt/scheduler"
)

// Config is the whole configuration: what policies.toml says, as Go values.
type Config = config.Config

// DefaultConfig returns the recommended configuration for an embedding
// program: nothing listens, nothing is kept on disk, and there is no origin.
// Set Listen.Admin for the admin API and page, Listen.Proxy and Origin.URL for
// the proxy, State.Dir to keep policies over a restart.
func DefaultConfig() Config {
	cfg := config.Default()
	cfg.Listen.Proxy, cfg.Listen.Admin = "", ""
	return cfg
}

// Option is something about a runtime that a configuration file cannot say.
type Option func(*Runtime)

// WithLogger makes the runtime log to log. Default: nothing is logged.
func WithLogger(log hclog.Logger) Option { return func(rt *Runtime) { rt.log = log } }

// WithOrigin sets the origin where the configuration names none.
func WithOrigin(origin *url.URL) Option { return func(rt *Runtime) { rt.fallbackOrigin = origin } }

// WithVersion sets the version that statistics show. Default: "embedded".
func WithVersion(version string) Option { return func(rt *Runtime) { rt.version = version } }

// WithSource says how the configuration is read again by a reload, and from
// which folder relative paths of modules are. Default: a reload is refused.
func WithSource(read func() (Config, error), baseDir string) Option {
	return func(rt *Runtime) { rt.readConfig, rt.baseDir = read, baseDir }
}

// Runtime is the whole: caches, scheduler, seats, proxy, admin side. Create it
// with [New] or [Load]; end it with Shutdown. Safe for concurrent use.
type Runtime struct {
	log            hclog.Logger
	version        string
	fallbackOrigin *url.URL
	readConfig     func() (Config, error)
	baseDir        string
	started        time.Time
	seed           uint64

	cfg           atomic.Pointer[Config]
	journal       *journal.Journal
	host          *hostabi.Host
	resolver      *ref.Resolver
	scheduler     *scheduler.Scheduler
	events        *eventHub
	policyMetrics *policyMetrics
	sampler       *sampler
	recorder      *recorder // nil: nothing is recorded
	front         *front    // nil: there is no origin
	faces         faces

	ctx    context.Context // ends when Shutdown has drained what was in flight
	cancel context.CancelFunc

	reload sync.Mutex // held over a reload

	mu sync.Mutex
	// guards the fields below
	seats   map[policies.Seat]*seat
	order   []policies.Seat // of seats, as they came
	caches  map[string]*observed
	closing bool
	tasks   sync.WaitGroup // background work; no Add once closing
	closers []func() error // in the order of opening
	ended   chan struct{}
	endErr  error
}

// New builds a runtime from a configuration. Nothing listens yet: see
// [Runtime.Start]. On error everything that was opened is closed again.
func New(cfg Config, options ...Option) (*Runtime, error) {
	rt := &Runtime{
		log: hclog.NewNullLogger(), version: "embedded", started: time.Now(),
		events: newEventHub(), policyMetrics: newPolicyMetrics(),
		seats: map[policies.Seat]*seat{}, caches: map[string]*observed{},
	}
	for _, o := range options {
		o(rt)
	}
	if err := check(cfg); err != nil {
		return nil, err
	}
	rt.cfg.Store(&cfg)
	rt.ctx, rt.cancel = context.WithCancel(context.Background())
	if err := rt.build(cfg); err != nil {
		return nil, errors.Join(err, rt.closeAll())
	}
	return rt, nil
}

// Load reads policies.toml and the PERFOPT_* environment and builds a runtime
// from it, with the state folder of [StateDir]. Errors of the file are
// [config.Problems]: all of them, each with line and key.
func Load(path string, options ...Option) (*Runtime, error) {
	read := ReadConfig(path, nil)
	cfg, err := read()
	if err != nil {
		return nil, err
	}
	return New(cfg, append([]Option{WithSource(read, filepath.Dir(path))}, options...)...)
}

// build opens the parts, innermost first.
func (rt *Runtime) build(cfg Config) error {
	var err error
	if rt.journal, err = journal.Open(cfg.State.Dir); err != nil {
		return err
	}
	rt.onClose(rt.journal.Close)
	for _, damage := range rt.journal.Damage() {
		rt.log.Error("the history of policies was damaged; the file is kept beside it with the ending .damaged", "damage", damage)
	}
	if rt.seed, err = readSalt(cfg.State.Dir); err != nil {
		return err
	}
	if err := rt.buildHost(cfg); err != nil {
		return err
	}
	if err := rt.buildScheduler(cfg); err != nil {
		return err
	}
	if cfg.Record.Accesses != "" {
		if rt.recorder, err = newRecorder(cfg.Record.Accesses, rt.log.Named("record")); err != nil {
			return fmt.Errorf("record.accesses: %w", err)
		}
		rt.onClose(func() error { rt.recorder.close(); return nil })
	}
	if err := rt.buildFront(cfg); err != nil {
		return err
	}
	rt.sampler = newSampler(rt)
	rt.onClose(func() error { rt.sampler.stop(); return nil })
	return rt.faces.build(rt, cfg)
}

func (rt *Runtime) buildHost(cfg Config) error {
	cacheDir := ""
	if cfg.State.Dir != "" {
		cacheDir = filepath.Join(cfg.State.Dir, "compiled")
	}
	host, err := hostabi.New(rt.ctx, hostabi.Options{
		CacheDir: cacheDir, MaxModuleBytes: int(cfg.Wasm.MaxModule), MemoryPages: uint32(cfg.Wasm.MemoryPages),
		MemoryPagesGo: uint32(cfg.Wasm.GoMemoryPages), Fuel: hostabi.DefaultFuel().Scale(cfg.Wasm.FuelPercent),
		Logger: rt.log.Named("policy"), Now: rt.now,
	})
	if err != nil {
		return fmt.Errorf("policy host: %w", err)
	}
	rt.host = host
	rt.onClose(host.Close)
	rt.resolver = ref.New(host, rt.journal)
	return nil
}

func (rt *Runtime) buildScheduler(cfg Config) error {
	s := cfg.Scheduler
	queue := s.QueueLength
	if queue == 0 {
		queue = -1
	}
	var err error
	rt.scheduler, err = scheduler.New(scheduler.Options{
		InitialLimit: s.InitialLimit, MinLimit: s.MinLimit, MaxLimit: s.MaxLimit, Target: s.TargetLatency.Std(),
		Tick: s.Tick.Std(), QueueLength: queue, Fixed: !s.AdaptiveLimit, FIFO: !s.Priorities,
		Logger: rt.log.Named("scheduler"),
	})
	if err != nil {
		return err
	}
	rt.onClose(func() error { rt.scheduler.Close(); return nil })
	enabled := func() bool { return rt.config().Scheduler.AdaptiveLimit }
	return rt.addSeat(rt.ctx, policies.Seat(policies.KindScaling), scalingOwner{rt.scheduler, enabled})
}

// addSeat makes a seat and puts into it what it held before, else what
// policies.toml says.
func (rt *Runtime) addSeat(ctx context.Context, name policies.Seat, o owner) error {
	kind, _, err := policies.ParseSeat(string(name))
	if err != nil {
		return err
	}
	s := &seat{name: name, kind: kind, rt: rt, owner: o}
	if err := s.restore(ctx); err != nil {
		return fmt.Errorf("policy.%s: %w", name, err)
	}
	rt.mu.Lock()
	rt.seats[name] = s
	rt.order = append(rt.order, name)
	rt.mu.Unlock()
	rt.onClose(s.close)
	return nil
}

func (rt *Runtime) seat(name string) (*seat, error) {
	if _, _, err := policies.ParseSeat(name); err != nil {
		return nil, err
	}
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if s, ok := rt.seats[policies.Seat(name)]; ok {
		return s, nil
	}
	return nil, fmt.Errorf("there is no seat %s: this runtime has %v", name, rt.order)
}

// seatList returns the seats in the order in which they came.
func (rt *Runtime) seatList() []*seat {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	list := make([]*seat, 0, len(rt.order))
	for _, name := range rt.order {
		list = append(list, rt.seats[name])
	}
	return list
}

// fileSpec returns what the configuration says of a seat.
func (rt *Runtime) fileSpec(name policies.Seat) config.Policy {
	kind, cache, err := policies.ParseSeat(string(name))
	if err != nil {
		return config.Policy{}
	}
	return rt.config().Resolved(cache).Policy.Of(kind)
}

func (rt *Runtime) config() *Config { return rt.cfg.Load() }

// now is the clock of policies: the wall clock of the start, moved on by the
// monotonic clock, so that a clock that is set expires nothing.
func (rt *Runtime) now() policies.Nanos {
	return policies.Nanos(rt.started.UnixNano() + int64(time.Since(rt.started)))
}

// background runs work that Shutdown waits for; after that nothing is begun.
func (rt *Runtime) background(work func(context.Context)) {
	rt.mu.Lock()
	if rt.closing {
		rt.mu.Unlock()
		return
	}
	rt.tasks.Add(1)
	rt.mu.Unlock()
	go func() {
		defer rt.tasks.Done()
		work(rt.ctx)
	}()
}

// onClose registers what undoes a step; Shutdown goes backwards through them.
func (rt *Runtime) onClose(undo func() error) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	rt.closers = append(rt.closers, undo)
}

// Start opens the listeners that the configuration names and begins to serve.
// It returns when everything listens. It is called at most once.
func (rt *Runtime) Start(ctx context.Context) error {
	return rt.faces.start(ctx, rt)
}

// Shutdown ends the runtime: readiness turns false, listeners close, requests
// and tasks in flight end, then everything is closed. When ctx ends, or
// Proxy.DrainTimeout is over, what is left is cut off and the context's error
// is among those returned. Calls after the first wait for its end and return
// its error.
func (rt *Runtime) Shutdown(ctx context.Context) error {
	rt.mu.Lock()
	if rt.closing {
		ended := rt.ended
		rt.mu.Unlock()
		<-ended
		return rt.endErr
	}
	rt.closing = true
	rt.ended = make(chan struct{})
	rt.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, rt.config().Proxy.DrainTimeout.Std())
	defer cancel()
	err := rt.faces.stop(ctx)
	err = errors.Join(err, rt.scheduler.Drain(ctx))
	rt.cancel()
	rt.tasks.Wait()
	rt.endErr = errors.Join(err, rt.closeAll())
	close(rt.ended)
	return rt.endErr
}

func (rt *Runtime) closeAll() error {
	rt.cancel()
	rt.events.close()
	rt.mu.Lock()
	closers := slices.Clone(rt.closers)
	rt.closers = nil
	rt.mu.Unlock()
	var errs []error
	for _, undo := range slices.Backward(closers) {
		errs = append(errs, undo())
	}
	return errors.Join(errs...)
}

// Swap puts a policy in a seat while everything runs: "eviction", "ttl",
// "prefetch", "scaling", or with @NAME of a named cache. use is a reference as
// in policies.toml: builtin:NAME, shipped:NAME, a path to a .wasm file, or
// sha256:HEX. A module is tried first; on any error the seat is as before.
func (rt *Runtime) Swap(ctx context.Context, seat, use string) error {
	return rt.SwapWith(ctx, seat, Policy{Use: use})
}

// Policy says which policy shall sit in a seat, with its settings.
type Policy = config.Policy

// SwapWith is [Runtime.Swap] with settings for the policy and, if wanted, the
// digest that its module must have.
func (rt *Runtime) SwapWith(ctx context.Context, seat string, p Policy) error {
	s, err := rt.seat(seat)
	if err != nil {
		return err
	}
	return s.use(ctx, change{spec: p, source: journal.SourcePush, who: "embedder", trial: true})
}

// SwapModule puts a module given by its bytes in a seat.
func (rt *Runtime) SwapModule(ctx context.Context, seat string, module []byte, settings map[string]any) error {
	s, err := rt.seat(seat)
	if err != nil {
		return err
	}
	return s.use(ctx, change{spec: Policy{Config: settings}, module: module, source: journal.SourcePush, who: "embedder", trial: true})
}

// Rollback returns a seat to what it held before; asked again it goes further
// back. Policies that were put in quarantine are passed over.
func (rt *Runtime) Rollback(seat string) error {
	s, err := rt.seat(seat)
	if err != nil {
		return err
	}
	return s.rollback(rt.ctx, "embedder")
}
