package terminal_test

import (
	"os"

	"github.com/perfopt/perfopt/internal/terminal"
)

func ExampleTable() {
	var t terminal.Table
	t.Row("POLICY", "MISSES", "MISS RATIO")
	t.Row("lru", terminal.Count(13612), "28.36 %")
	t.Row("s3fifo", terminal.Count(9987), "20.81 %")
	t.Print(os.Stdout)
	// Output:
	// POLICY  MISSES  MISS RATIO
	// lru     13,612     28.36 %
	// s3fifo   9,987     20.81 %
}
