package terminal

import (
	"math"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTableLinesUp(t *testing.T) {
	var tab Table
	tab.Indent = " "
	tab.Row("policy", "misses", "ratio", "version", "note")
	tab.Row("lru", "1,234", "12.5 %", "1.0.0", "")
	tab.Row("größer", "7", "-", "2", "fast")
	var b strings.Builder
	if err := tab.Print(&b); err != nil {
		t.Fatal(err)
	}
	want := "" +
		" policy  misses   ratio  version  note\n" +
		" lru      1,234  12.5 %  1.0.0\n" +
		" größer       7       -  2        fast\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

func TestNumbersForPeople(t *testing.T) {
	for _, c := range [][2]string{
		{Bytes(812), "812 B"}, {Bytes(3500), "3.4 KiB"}, {Bytes(2 << 20), "2.0 MiB"}, {Bytes(5 << 40), "5.0 TiB"},
		{Count(0), "0"}, {Count(999), "999"}, {Count(1000), "1,000"}, {Count(-1234567), "-1,234,567"},
		{Count(math.MinInt64), "-9,223,372,036,854,775,808"},
		{Age(-time.Second), "0 s"}, {Age(59 * time.Second), "59 s"}, {Age(90 * time.Second), "1 min"},
		{Age(47 * time.Hour), "47 h"}, {Age(72 * time.Hour), "3 d"},
	} {
		if c[0] != c[1] {
			t.Errorf("got %q, want %q", c[0], c[1])
		}
	}
}

func TestProgressDrawsOverItsLineOnATerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out buffer
		p := Start(&out, true, "replaying")
		p.Set(25, 100)
		<-time.After(2050 * time.Millisecond)
		if got, want := out.last(), clearLine+"replaying:  25 %, 7 s left"; got != want {
			t.Errorf("after 2 s the line is %q, want %q", got, want)
		}
		p.Stop()
		p.Stop()
		if got := out.last(); got != clearLine {
			t.Errorf("Stop left %q", got)
		}
	})
}

func TestProgressIsSilentForWhatIsShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out buffer
		p := Start(&out, true, "building")
		<-time.After(950 * time.Millisecond)
		p.Stop()
		if got := out.all(); got != "" {
			t.Errorf("drew %q within a second", got)
		}
	})
}

func TestProgressWritesFewPlainLinesElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out buffer
		p := Start(&out, false, "building")
		<-time.After(12 * time.Second)
		p.Say("compiling")
		p.Set(1200, 0)
		<-time.After(10 * time.Second)
		p.Stop()
		want := "building: 1 s\nbuilding: 11 s\ncompiling: 1,200, 21 s\n"
		if got := out.all(); got != want {
			t.Errorf("wrote %q, want %q", got, want)
		}
	})
}

func TestProgressIsSafeForConcurrentUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out buffer
		p := Start(&out, true, "work")
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				for i := range 1000 {
					p.Set(int64(i), 1000)
					if i%100 == g {
						p.Say("more work")
						<-time.After(200 * time.Millisecond)
					}
				}
			})
		}
		wg.Wait()
		p.Stop()
		if !strings.HasPrefix(out.all(), clearLine) {
			t.Error("nothing was drawn")
		}
	})
}

func TestAFileIsNotATerminal(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if IsTerminal(f) || IsTerminal(&strings.Builder{}) {
		t.Error("a file and a builder are taken for terminals")
	}
}

// buffer collects writes.
type buffer struct {
	mu     sync.Mutex
	writes []string
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.writes = append(b.writes, string(p))
	return len(p), nil
}

func (b *buffer) last() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.writes[len(b.writes)-1]
}

func (b *buffer) all() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.writes, "")
}
