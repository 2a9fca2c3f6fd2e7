package perfopt

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/perfopt/perfopt/cache/l2"
	"github.com/perfopt/perfopt/runtime/admin"
	"github.com/perfopt/perfopt/runtime/journal"
)

// engine is the runtime as the admin API sees it.
type engine struct{ rt *Runtime }

var _ admin.Engine = engine{}

func notFound(err error) error { return &admin.Error{Status: http.StatusNotFound, Err: err} }

func (e engine) Stats() any { return e.rt.Stats() }

// Ready says whether requests are served as they should be. A second tier that
// is away is told and is no reason to send traffic elsewhere.
func (e engine) Ready() (bool, map[string]string) {
	parts := map[string]string{"scheduler": "ok"}
	ready := !e.rt.faces.isStopping()
	if !ready {
		parts["daemon"] = "draining"
	}
	for _, c := range e.rt.cacheList() {
		parts["cache "+c.name] = "ok"
		if s := c.Stats(); s.L2 != nil && s.L2.State != l2.StateClosed {
			parts["cache "+c.name] = "the second tier is away: serving from memory and origin"
		} else if s.L1.Sampler {
			parts["cache "+c.name] = "the eviction policy failed: the host makes room"
		}
	}
	for _, s := range e.rt.seatList() {
		if d := s.describe(); d.State == StateQuarantined {
			parts["seat "+d.Seat] = "in quarantine: " + d.Why
		}
	}
	return ready, parts
}

func (e engine) Reload(ctx context.Context) ([]string, []string, error) { return e.rt.Reload(ctx) }

func (e engine) Subscribe(ctx context.Context, send func(string, any) error) error {
	if err := send("stats", e.rt.Stats()); err != nil {
		return err
	}
	return e.rt.events.subscribe(ctx, send)
}

func (e engine) Seats() any {
	var seats []SeatStats
	for _, s := range e.rt.seatList() {
		seats = append(seats, s.describe())
	}
	return seats
}

func (e engine) Push(ctx context.Context, name string, p admin.Push) (any, error) {
	s, err := e.rt.seat(name)
	if err != nil {
		return nil, notFound(err)
	}
	if isPath(p.Use) {
		return nil, &admin.Error{Status: http.StatusBadRequest, Err: errors.New("a push does not read files of the daemon: send the module itself")}
	}
	c := change{
		spec: Policy{Use: p.Use, Config: p.Config, SHA256: p.SHA256}, module: p.Module,
		source: journal.SourcePush, who: p.Who, why: p.Why, trial: true,
	}
	if err := s.use(ctx, c); err != nil {
		return nil, err
	}
	return s.describe(), nil
}

func (e engine) Rollback(ctx context.Context, name, who string) (any, error) {
	s, err := e.rt.seat(name)
	if err != nil {
		return nil, notFound(err)
	}
	if err := s.rollback(ctx, who); err != nil {
		return nil, err
	}
	return s.describe(), nil
}

func (e engine) History(name string) (any, error) {
	if _, err := e.rt.seat(name); err != nil {
		return nil, err
	}
	return e.rt.journal.History(name), nil
}

func (e engine) Decisions(name string) (any, error) {
	s, err := e.rt.seat(name)
	if err != nil {
		return nil, err
	}
	return s.decisions(), nil
}

// cache finds a cache by name; "" is the default one.
func (e engine) cache(name string) (*observed, error) {
	if name == "" {
		name = "default"
	}
	for _, c := range e.rt.cacheList() {
		if c.name == name {
			return c, nil
		}
	}
	return nil, fmt.Errorf("there is no cache %s", name)
}

func (e engine) Patterns(name string) (any, error) {
	c, err := e.cache(name)
	if err != nil {
		return nil, err
	}
	return c.patterns.Report(), nil
}

func (e engine) Top(name string, n int) (any, error) {
	c, err := e.cache(name)
	if err != nil {
		return nil, err
	}
	return map[string]any{"cache": c.name, "entries": c.Top(n)}, nil
}

func (e engine) Explain(name, key string) (any, error) {
	c, err := e.cache(name)
	if err != nil {
		return nil, err
	}
	explanation, ok := c.ExplainKey(key)
	if !ok {
		return nil, fmt.Errorf("key %q is not in cache %s, and nothing is remembered of it", key, c.name)
	}
	return explanation, nil
}

func (e engine) Purge(ctx context.Context, name, key, prefix string) (int, error) {
	c, err := e.cache(name)
	if err != nil {
		return 0, err
	}
	if prefix != "" {
		return -1, c.PurgePrefix(ctx, prefix)
	}
	removed, err := c.DeleteKey(ctx, key)
	if removed {
		return 1, err
	}
	return 0, err
}
