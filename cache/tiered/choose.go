package tiered

import (
	"fmt"
	"math"
	"time"

	"github.com/perfopt/perfopt/policies"
)

// choose asks the policy and returns the keys to load. An error of the policy
// empties its seat.
func (e *engine[K, V]) choose(now policies.Nanos) (keys []K, err error) {
	e.turn.Lock()
	defer e.turn.Unlock()
	e.events, e.inserts = e.tee.take(e.events, e.inserts)
	if e.policy == nil {
		if s := *e.state.Load(); s != prefetchFault {
			e.setState(prefetchNoPolicy)
		}
		return nil, nil
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
		if err != nil {
			e.seat(nil)
		}
	}()
	if err := e.show(); err != nil {
		return nil, err
	}
	n, state := 0, prefetchPressure
	if e.o.Pressure == nil || !e.o.Pressure() {
		n, state = e.budget.allow(time.Now(), e.o.Budget)
	}
	e.setState(state)
	if n == 0 {
		return nil, nil
	}
	offered := e.candidates(now)
	if cap(e.out) < n {
		e.out = make([]policies.KeyHash, e.o.Budget)
	}
	proposed, err := e.policy.Propose(&e.rows, n, e.out[:n])
	if err != nil {
		return nil, err
	}
	if proposed < 0 || proposed > n {
		return nil, fmt.Errorf("proposed %d keys, want 0 to %d", proposed, n)
	}
	for _, h := range e.out[:proposed] {
		if key, ok := e.loadable(h, offered, now); ok {
			keys = append(keys, key)
		}
	}
	e.last.Store(&lastTick{now, e.rows.Len(), proposed, proposed - len(keys)})
	return keys, nil
}

// show lets the policy observe the events that have collected.
func (e *engine[K, V]) show() error {
	events, inserts := e.events, e.inserts
	for len(events) > 0 {
		n, rows := min(len(events), eventBatch), 0
		for _, event := range events[:n] {
			if event.Op.HasInsert() {
				rows++
			}
		}
		if err := e.policy.Observe(events[:n], inserts[:rows]); err != nil {
			return err
		}
		events, inserts = events[n:], inserts[rows:]
	}
	return nil
}

// candidates fills the rows and returns the keys in them.
func (e *engine[K, V]) candidates(now policies.Nanos) map[policies.KeyHash]K {
	offered := make(map[policies.KeyHash]K)
	ends := e.due.due(now, maxCandidates/2)
	for len(e.asked) > 0 {
		ends = append(ends, <-e.asked)
	}
	type row struct {
		hash policies.KeyHash
		slot policies.Slot
		held *held[V]
	}
	var rows []row
	for _, x := range ends {
		h, ok := e.c.resident(x.key)
		if !ok || h.freshUntil != x.until || now >= h.freshUntil {
			continue
		}
		if again := now + policies.Nanos(e.o.Tick); again < h.freshUntil {
			e.due.add(ending[K]{x.key, again, x.until})
		}
		hash, slot, resident := e.c.l1.Locate(x.key)
		if _, twice := offered[hash]; resident && !twice {
			offered[hash] = x.key
			rows = append(rows, row{hash, slot, h})
		}
	}
	for _, hash := range e.c.l1.Features().RecentCandidates(nil, maxCandidates/2) {
		key, ok := e.recent.get(hash)
		if _, twice := offered[hash]; !ok || twice {
			continue
		}
		offered[hash] = key
		rows = append(rows, row{hash, policies.NoSlot, nil})
	}
	r := &e.rows.Rows
	r.Now = now
	r.Resize(len(rows), e.info.Columns)
	for i, x := range rows {
		e.c.l1.Features().FillKey(r, i, x.hash, x.slot, x.held != nil)
		if h := x.held; h != nil {
			r.Set(policies.ColAge, i, seconds(now-h.storedAt))
			r.Set(policies.ColTTLLeft, i, seconds(h.freshUntil-now))
			r.Set(policies.ColBaseTTL, i, seconds(h.freshUntil-h.storedAt))
			r.Set(policies.ColLoadCost, i, h.cost.Seconds()*1e3)
			r.Set(policies.ColChanged, i, float64(h.changed))
			r.Set(policies.ColUnchanged, i, float64(h.unchanged))
		}
	}
	return offered
}

// loadable returns the key of a proposed hash if it may be loaded ahead: a
// candidate, or a key that is not resident and has been evicted or asked for
// twice.
func (e *engine[K, V]) loadable(h policies.KeyHash, offered map[policies.KeyHash]K, now policies.Nanos) (key K, ok bool) {
	if key, ok = offered[h]; !ok {
		if key, ok = e.recent.get(h); !ok {
			return key, false
		}
		past, known := e.c.l1.Features().Recent(h)
		if !known || (past.Weight == 0 && math.Round(past.Count) < 2) {
			return key, false
		}
	}
	held, resident := e.c.resident(key)
	if resident && now < min(held.nearFrom, held.freshUntil) {
		return key, false
	}
	return key, !e.c.flights.flying(key)
}

func seconds(n policies.Nanos) float64 { return time.Duration(n).Seconds() }
