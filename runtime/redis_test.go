package perfopt

import (
	"bufio"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// redisServer is a real redis-server of a test's own.
type redisServer struct {
	*testing.T
	port int
	cmd  *exec.Cmd
}

func startRedisServer(t *testing.T) *redisServer {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("skipped: needs redis-server on PATH (apt-get install redis-server)")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &redisServer{T: t, port: l.Addr().(*net.TCPAddr).Port}
	l.Close()
	r.start()
	t.Cleanup(r.kill)
	return r
}

func (r *redisServer) addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(r.port)) }
func (r *redisServer) url() string  { return "redis://" + r.addr() + "/0" }

func (r *redisServer) start() {
	r.Helper()
	r.cmd = exec.Command("redis-server", "--port", strconv.Itoa(r.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
	r.cmd.Dir = r.TempDir()
	if err := r.cmd.Start(); err != nil {
		r.Fatal(err)
	}
	eventually(r.T, "redis-server answers", func() bool {
		conn, err := net.Dial("tcp", r.addr())
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
}

// kill ends the server at once; what it held is lost.
func (r *redisServer) kill() {
	_ = r.cmd.Process.Kill() // it may have ended
	_ = r.cmd.Wait()
}

// do sends a command and returns the first line of the answer, or the elements
// of an array with spaces between.
func (r *redisServer) do(command ...string) string {
	r.Helper()
	conn, err := net.Dial("tcp", r.addr())
	if err != nil {
		r.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "*%d\r\n", len(command))
	for _, word := range command {
		fmt.Fprintf(conn, "$%d\r\n%s\r\n", len(word), word)
	}
	in := bufio.NewReader(conn)
	line := func() string {
		text, err := in.ReadString('\n')
		if err != nil {
			r.Fatal(err)
		}
		return strings.TrimSpace(text)
	}
	head := line()
	if !strings.HasPrefix(head, "*") {
		return head
	}
	n, err := strconv.Atoi(head[1:])
	if err != nil {
		r.Fatal(err)
	}
	var all []string
	for range n {
		line() // the length
		all = append(all, line())
	}
	return strings.Join(all, " ")
}
