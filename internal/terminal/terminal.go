// Package terminal shows people what a command is doing and what it found: a
// line of progress for what takes longer than a second, and tables whose
// columns line up.
//
//   - [Start] begins a [Progress]: one line that is drawn over and over on a
//     terminal, and a plain line now and then elsewhere (a log, a pipe).
//   - [Table] lays out rows; numbers are set to the right.
//   - [Bytes], [Count] and [Age] say a number as a person would.
//
// It must not know what is being done, and never writes to standard output by
// itself: progress belongs on standard error, so that a result can be piped.
//
// Caveats. While a Progress runs nothing else may write to its writer; Stop
// removes the line first.
package terminal

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// IsTerminal reports whether w is a terminal, on which lines can be drawn over.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// Bytes says a number of bytes: "812 B", "3.4 KiB", "2.0 MiB".
func Bytes(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	v := float64(n)
	for _, unit := range []string{"KiB", "MiB", "GiB"} {
		v /= 1024
		if v < 1024 {
			return fmt.Sprintf("%.1f %s", v, unit)
		}
	}
	return fmt.Sprintf("%.1f TiB", v/1024)
}

// Count says a whole number with its thousands set apart: "1,234,567".
func Count(n int64) string {
	if n < 0 {
		return "-" + count(-uint64(n))
	}
	return count(uint64(n))
}

func count(n uint64) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", count(n/1000), n%1000)
}

// Age says a span in the largest unit that fits: "45 s", "12 min", "3 h",
// "5 d".
func Age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(max(d, 0).Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d d", int(d.Hours()/24))
}
