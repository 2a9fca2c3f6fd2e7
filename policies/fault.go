package policies

import "fmt"

// FaultReason classifies what a policy did wrong.
type FaultReason string

// The reasons of a fault; also the values of the metrics' reason label.
const (
	FaultTrap   FaultReason = "trap"   // the module trapped, or a native policy panicked
	FaultFuel   FaultReason = "fuel"   // the call used up its fuel
	FaultMemory FaultReason = "memory" // the module wanted more memory than it may have
	FaultStatus FaultReason = "status" // the policy returned an error
	FaultOutput FaultReason = "output" // the answer is outside of what may be answered
	FaultState  FaultReason = "state"  // exported state could not be used
)

// FaultReasons returns all reasons.
func FaultReasons() []FaultReason {
	return []FaultReason{FaultTrap, FaultFuel, FaultMemory, FaultStatus, FaultOutput, FaultState}
}

// Fault is an answer that could not be used.
type Fault struct {
	Policy string      // the policy's name
	Kind   Kind        // its kind
	Reason FaultReason // what class of fault
	Detail string      // one line for people
}

// Error returns the fault as one line.
func (f *Fault) Error() string {
	return fmt.Sprintf("%s policy %s: %s fault: %s", f.Kind, f.Policy, f.Reason, f.Detail)
}
