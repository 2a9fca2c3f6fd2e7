package terminal

import (
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	quiet     = time.Second            // what is done by then needs no progress
	redraw    = 100 * time.Millisecond // often enough to look alive
	plainStep = 10 * time.Second       // lines in a log should be few
	clearLine = "\r\x1b[K"
)

// Progress is one line that says how far something is. Safe for concurrent
// use.
type Progress struct {
	w    io.Writer
	live bool
	done chan struct{} // closed by Stop
	gone chan struct{} // closed when the drawing goroutine has ended
	stop sync.Once

	mu sync.Mutex
	// guards the fields below
	text        string
	now, total  int64
	started     time.Time
	nextPlainAt time.Duration

	shown string // what stands on the terminal; only the drawing goroutine uses it
}

// Start begins to show text on w once a second has passed. live says that w is
// a terminal (see [IsTerminal]). End it with Stop.
func Start(w io.Writer, live bool, text string) *Progress {
	p := &Progress{w: w, live: live, text: text, started: time.Now(), nextPlainAt: quiet,
		done: make(chan struct{}), gone: make(chan struct{})}
	go p.run()
	return p
}

// Say changes the text.
func (p *Progress) Say(text string) {
	p.mu.Lock()
	p.text = text
	p.mu.Unlock()
}

// Set tells how much is done; a total of 0 means that nobody knows.
func (p *Progress) Set(now, total int64) {
	p.mu.Lock()
	p.now, p.total = now, total
	p.mu.Unlock()
}

// Stop removes the line and waits until nothing draws any more. It is safe to
// call it twice.
func (p *Progress) Stop() {
	p.stop.Do(func() { close(p.done) })
	<-p.gone
}

func (p *Progress) run() {
	defer close(p.gone)
	ticker := time.NewTicker(redraw)
	defer ticker.Stop()
	for {
		select {
		case <-p.done:
			if p.shown != "" {
				io.WriteString(p.w, clearLine)
			}
			return
		case <-ticker.C:
			p.tick()
		}
	}
}

// tick draws where it is time to. Only run calls it.
func (p *Progress) tick() {
	p.mu.Lock()
	elapsed := time.Since(p.started)
	line := p.line(elapsed)
	p.mu.Unlock()
	switch {
	case elapsed < quiet:
	case p.live && line != p.shown:
		p.shown = line
		io.WriteString(p.w, clearLine+line)
	case p.live:
	case elapsed >= p.nextPlainAt:
		p.nextPlainAt = elapsed + plainStep
		io.WriteString(p.w, line+"\n")
	}
}

// line is what is shown; the caller holds the lock.
func (p *Progress) line(elapsed time.Duration) string {
	if p.total <= 0 {
		if p.now > 0 {
			return fmt.Sprintf("%s: %s, %s", p.text, Count(p.now), Age(elapsed))
		}
		return fmt.Sprintf("%s: %s", p.text, Age(elapsed))
	}
	share := min(1, float64(p.now)/float64(p.total))
	line := fmt.Sprintf("%s: %3.0f %%", p.text, 100*share)
	if share > 0.02 && share < 1 {
		left := time.Duration(float64(elapsed) * (1 - share) / share)
		line += fmt.Sprintf(", %s left", Age(left+time.Second))
	}
	return line
}
