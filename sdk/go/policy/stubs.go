//go:build !wasip1

package policy

import "os"

// Without a host, log lines go to standard error and metrics keep their value.

var levelNames = [...]string{"trace", "debug", "info", "warn", "error"}

func hostLog(level Level, line string) {
	name := "log"
	if level >= 0 && int(level) < len(levelNames) {
		name = levelNames[level]
	}
	os.Stderr.WriteString("policy: " + name + ": " + line + "\n")
}

func hostMetric(int32, float64) {}
