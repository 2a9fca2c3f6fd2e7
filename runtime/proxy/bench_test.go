package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"
)

// warm returns a world whose lane knows "/" and a connection that is in use.
func warm(b testing.TB, s settings) (*world, io.Writer, *bufio.Reader) {
	content := make([]byte, 1024)
	w := newWorld(b, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=600")
		if _, err := w.Write(content); err != nil {
			b.Error(err)
		}
	}, s)
	nc, lines := w.dial()
	for range 3 {
		fmt.Fprint(nc, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if _, err := readReply(lines, "GET"); err != nil {
			b.Fatal(err)
		}
	}
	return w, nc, lines
}

func BenchmarkHit(b *testing.B) {
	for name, s := range map[string]settings{"lane": {}, "net-http": {server: ServerOptions{NetHTTPOnly: true}}} {
		b.Run(name, func(b *testing.B) {
			_, nc, lines := warm(b, s)
			request := []byte("GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n")
			b.ReportAllocs()
			for b.Loop() {
				if _, err := nc.Write(request); err != nil {
					b.Fatal(err)
				}
				for {
					line, err := lines.ReadSlice('\n')
					if err != nil {
						b.Fatal(err)
					}
					if len(line) == 2 {
						break
					}
				}
				if _, err := lines.Discard(1024); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// sink is a connection that takes everything.
type sink struct{ recorder }

func (*sink) Write(b []byte) (int, error) { return len(b), nil }

// BenchmarkLaneAnswer is the lane alone: reading a head, looking up, writing.
func BenchmarkLaneAnswer(b *testing.B) {
	w, _, _ := warm(b, settings{})
	c := &conn{Conn: &sink{}, server: w.server}
	c.deadlineSet = time.Now().Add(time.Hour)
	request := []byte("GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n")
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := c.answer(request); !ok {
			b.Fatal("not answered")
		}
	}
}

func TestTheLaneAllocatesNothing(t *testing.T) {
	w, _, _ := warm(t, settings{})
	c := &conn{Conn: &sink{}, server: w.server}
	c.deadlineSet = time.Now().Add(time.Hour)
	request := []byte("GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n")
	if n := testing.AllocsPerRun(1000, func() {
		if _, ok := c.answer(request); !ok {
			t.Fatal("not answered")
		}
	}); n > 0 {
		t.Errorf("%v allocations an answer", n)
	}
}
