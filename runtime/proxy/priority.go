package proxy

import (
	"strings"

	"github.com/perfopt/perfopt/scheduler"
)

// urgencyOf reads the urgency from a Priority field (RFC 9218, 4.1): a
// structured dictionary with u = 0 (most urgent) to 7. A field that does not
// say one, or not well, says 3, the default, and ok is false.
func urgencyOf(lines []string) (urgency int, ok bool) {
	urgency = 3
	for _, line := range lines {
		for line != "" {
			var member string
			member, line, _ = strings.Cut(line, ",")
			member, _, _ = strings.Cut(member, ";") // parameters mean nothing here
			member = strings.Trim(member, " \t")
			if !strings.HasPrefix(member, "u=") {
				continue
			}
			// The last member of a name counts (RFC 8941, 3.2).
			if v := member[2:]; len(v) == 1 && v[0] >= '0' && v[0] <= '7' {
				urgency, ok = int(v[0]-'0'), true
			} else {
				urgency, ok = 3, false
			}
		}
	}
	return urgency, ok
}

// priorityOf maps an urgency to a priority of the scheduler.
func priorityOf(urgency int) scheduler.Priority {
	switch {
	case urgency <= 0:
		return scheduler.Critical
	case urgency <= 2:
		return scheduler.High
	case urgency == 3:
		return scheduler.Normal
	case urgency <= 6:
		return scheduler.Low
	}
	return scheduler.Background
}

// requestPriority returns the priority of a request: the route's, which the
// client's Priority field can lower, and raise where the route trusts it.
func requestPriority(rt *route, lines []string) scheduler.Priority {
	if len(lines) == 0 {
		return rt.priority
	}
	urgency, ok := urgencyOf(lines)
	if !ok {
		return rt.priority
	}
	if p := priorityOf(urgency); rt.trustPriority || p > rt.priority {
		return p
	}
	return rt.priority
}
