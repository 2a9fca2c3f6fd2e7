// Package guard stands between a host and a policy that may be wrong, native
// or WebAssembly alike: it checks every answer, lets a fallback decide where
// one cannot be used, counts what happens, and puts a policy that errs too
// often in quarantine.
//
//   - [Health] is the record of a policy in its seat: calls, faults by reason,
//     time and fuel used, the last decisions with their inputs. It outlives
//     the instances of the policy.
//   - [EvictionGuard], [TTLGuard], [PrefetchGuard] and [ScalingGuard] wrap one
//     instance and are policies of the same kind.
//
// A panic, an error and an answer outside of what may be answered are faults.
// Numbers that are merely out of bounds are clamped and counted. After a fault
// the decision is made by the fallback at once; an eviction policy has state
// that cannot be trusted any more, so its guard is spent: every later call
// returns the [policies.Fault], and the host makes room by itself until it has
// seated another instance. Guards forward [policies.Stateful] and [io.Closer].
//
// A policy is put in quarantine after 3 faults in 60 seconds, or when after
// 10,000 calls more than 0.1 % of them were faults; all of these are settings.
// A quarantined policy is not asked again: the fallback decides everything.
//
// The package must not know how a policy was loaded, nor what happens after a
// quarantine: it says so through [Options].OnQuarantine and stops asking.
//
// Caveats. Times are sampled once a policy has been called often, and the
// record of decisions skips some when many goroutines decide at once: they
// are for people, not for accounts. Calls and faults are exact.
package guard

import (
	"errors"
	"fmt"
	"io"

	"github.com/perfopt/perfopt/policies"
)

// call runs one call of a policy and returns its fault, nil where it returned.
func call(info policies.Info, f func() error) (fault *policies.Fault) {
	defer func() {
		if p := recover(); p != nil {
			fault = faultOf(info, policies.FaultTrap, fmt.Sprintf("panic: %v", p))
		}
	}()
	if err := f(); err != nil {
		return faultFrom(info, err)
	}
	return nil
}

// faultFrom returns the fault that an error is or becomes.
func faultFrom(info policies.Info, err error) *policies.Fault {
	var fault *policies.Fault
	if errors.As(err, &fault) {
		return fault
	}
	return faultOf(info, policies.FaultStatus, err.Error())
}

// warming is implemented by the error of a policy that cannot answer yet, such
// as a module that still learns: the fallback decides and no fault is counted.
type warming interface{ Warming() bool }

func isWarming(err error) bool {
	if err == nil {
		return false
	}
	var w warming
	return errors.As(err, &w) && w.Warming()
}

func faultOf(info policies.Info, reason policies.FaultReason, detail string) *policies.Fault {
	return &policies.Fault{Policy: info.Name, Kind: info.Kind, Reason: reason, Detail: detail}
}

// export and restore forward state; without it they say that there is none.
func export(p any, info policies.Info, dst []byte) (out []byte, err error) {
	s, ok := p.(policies.Stateful)
	if !ok {
		return dst, fmt.Errorf("policy %s: %w: it exports no state", info.Name, errors.ErrUnsupported)
	}
	fault := call(info, func() error {
		out, err = s.ExportState(dst)
		return err
	})
	if fault != nil {
		return dst, fault
	}
	return out, nil
}

func restore(p any, info policies.Info, state []byte) error {
	s, ok := p.(policies.Stateful)
	if !ok {
		return fmt.Errorf("policy %s: %w: it imports no state", info.Name, errors.ErrUnsupported)
	}
	if fault := call(info, func() error { return s.ImportState(state) }); fault != nil {
		return fault
	}
	return nil
}

func closePolicy(p any) error {
	if c, ok := p.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
