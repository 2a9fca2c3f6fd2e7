package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// process is a program that a script has running, its output in files of the
// script's folder.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed when it has ended
	code   int           // after exited
}

// startProcess starts a program in the script's folder and environment, with
// its output in NAME.out and NAME.err.
func startProcess(ts *testscript.TestScript, name, path string, args ...string) *process {
	out, err := os.Create(ts.MkAbs(name + ".out"))
	ts.Check(err)
	defer out.Close()
	errs, err := os.Create(ts.MkAbs(name + ".err"))
	ts.Check(err)
	defer errs.Close()
	p := &process{cmd: exec.Command(path, args...), exited: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = ts.MkAbs("."), out, errs
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "STATE_DIRECTORY", "GOROOT", "GORACE"} {
		if v := ts.Getenv(name); v != "" {
			p.cmd.Env = append(p.cmd.Env, name+"="+v)
		}
	}
	for _, name := range strings.Fields(ts.Getenv("PASS")) { // further variables that the script wants passed on
		p.cmd.Env = append(p.cmd.Env, name+"="+ts.Getenv(name))
	}
	ts.Check(p.cmd.Start())
	go func() {
		_ = p.cmd.Wait() // how it ended is in ProcessState
		p.code = p.cmd.ProcessState.ExitCode()
		close(p.exited)
	}()
	return p
}

func (p *process) signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

func (p *process) ended() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// wait waits for the end and returns the exit code, -1 after a signal.
func (p *process) wait() (int, error) {
	select {
	case <-p.exited:
		return p.code, nil
	case <-time.After(patience):
		return 0, errors.New("it does not end")
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.exited
}

const daemonUsage = `usage:
	daemon start [FLAGS...]   in front of the origin, on free ports; sets PROXY, ADMIN, PERFOPT_ADMIN, DAEMON
	daemon stop               SIGTERM, and wants exit code 0
	daemon signal NAME        TERM, HUP or KILL
	daemon wait CODE          waits for its end and wants that exit code
	daemon lives              wants that it has not ended`

// cmdDaemon controls a perfoptd.
func cmdDaemon(ts *testscript.TestScript, neg bool, args []string) {
	w := worldOf(ts)
	if neg || len(args) == 0 || args[0] != "start" && w.daemon == nil {
		ts.Fatalf(daemonUsage)
	}
	switch {
	case args[0] == "start":
		if w.daemon != nil && !w.daemon.ended() {
			ts.Fatalf("the daemon runs already")
		}
		startDaemon(ts, w, args[1:])
	case args[0] == "stop":
		ts.Check(w.daemon.signal(syscall.SIGTERM))
		wantEnd(ts, w.daemon, 0)
	case args[0] == "signal" && len(args) == 2:
		s, ok := map[string]os.Signal{"TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "KILL": syscall.SIGKILL}[args[1]]
		if !ok {
			ts.Fatalf("unknown signal %s", args[1])
		}
		ts.Check(w.daemon.signal(s))
	case args[0] == "wait" && len(args) == 2:
		code, err := strconv.Atoi(args[1])
		ts.Check(err)
		wantEnd(ts, w.daemon, code)
	case args[0] == "lives":
		if w.daemon.ended() {
			ts.Fatalf("the daemon has ended with %d:\n%s", w.daemon.code, ts.ReadFile("daemon.err"))
		}
	default:
		ts.Fatalf(daemonUsage)
	}
}

func wantEnd(ts *testscript.TestScript, p *process, code int) {
	got, err := p.wait()
	ts.Check(err)
	if got != code {
		ts.Fatalf("the daemon ended with %d, want %d:\n%s", got, code, ts.ReadFile("daemon.err"))
	}
}

var listening = regexp.MustCompile(`(?m)^  (proxy|admin) +(http://\S+)`)

// startDaemon starts a perfoptd and waits until it has said where it listens.
func startDaemon(ts *testscript.TestScript, w *world, flags []string) {
	args := []string{"-set", "listen.proxy=127.0.0.1:0", "-set", "listen.admin=127.0.0.1:0"}
	if w.origin != nil {
		args = append(args, "-set", "origin.url="+w.origin.url)
	}
	path, err := exec.LookPath("perfoptd")
	ts.Check(err)
	w.daemon = startProcess(ts, "daemon", path, append(args, flags...)...)
	ts.Setenv("DAEMON", strconv.Itoa(w.daemon.cmd.Process.Pid))
	ts.Check(eventually(func() error {
		text := ts.ReadFile("daemon.out")
		if w.daemon.ended() {
			ts.Fatalf("the daemon ended with %d at once:\n%s%s", w.daemon.code, text, ts.ReadFile("daemon.err"))
		}
		if !strings.Contains(text, "\nTry") {
			return fmt.Errorf("the daemon does not say where it listens:\n%s", text)
		}
		for _, m := range listening.FindAllStringSubmatch(text, -1) {
			ts.Setenv(strings.ToUpper(m[1]), m[2])
		}
		return nil
	}))
	ts.Setenv("PERFOPT_ADMIN", ts.Getenv("ADMIN"))
}

const redisUsage = `usage:
	redis start      a redis-server on a free port, or on the one it had; sets REDIS
	redis stop       kills it
	redis garbage    listens where a redis-server would and answers nonsense; sets REDIS
	redis gone FILE  waits until nothing listens at the URL in the file`

// cmdRedis controls a real redis-server, or something that is none.
func cmdRedis(ts *testscript.TestScript, neg bool, args []string) {
	w := worldOf(ts)
	if neg || len(args) == 0 {
		ts.Fatalf(redisUsage)
	}
	switch {
	case args[0] == "start":
		url := ts.Getenv("REDIS")
		port := url[strings.LastIndexByte(url, ':')+1:]
		if port == "" {
			free, err := freePort()
			ts.Check(err)
			port = strconv.Itoa(free)
		}
		path, err := exec.LookPath("redis-server")
		ts.Check(err)
		w.redis = startProcess(ts, "redis", path, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", filepath.Dir(ts.MkAbs("x")))
		ts.Setenv("REDIS", "redis://127.0.0.1:"+port)
		ts.Check(eventually(func() error { return dial("127.0.0.1:" + port) }))
	case args[0] == "stop" && w.redis != nil:
		w.redis.kill()
	case args[0] == "garbage":
		g, err := listenGarbage()
		ts.Check(err)
		w.garbage = g
		ts.Setenv("REDIS", "redis://"+g.listener.Addr().String())
	case args[0] == "gone" && len(args) == 2:
		address := strings.TrimSuffix(strings.TrimPrefix(ts.ReadFile(args[1]), "redis://"), "/0")
		ts.Check(eventually(func() error {
			if dial(address) == nil {
				return fmt.Errorf("something listens at %s", address)
			}
			return nil
		}))
	default:
		ts.Fatalf(redisUsage)
	}
}

func dial(address string) error {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return err
	}
	return conn.Close()
}

// garbage is a listener that answers whatever it is told with nonsense.
type garbage struct{ listener net.Listener }

func listenGarbage() (*garbage, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := &garbage{l}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				buffer := make([]byte, 4096)
				for {
					if _, err := conn.Read(buffer); err != nil {
						return
					}
					if _, err := conn.Write([]byte("\x00\xff$9999999999\r\n*-7\r\n!\x01garbage\r\n")); err != nil {
						return
					}
				}
			}()
		}
	}()
	return g, nil
}

func (g *garbage) close() { _ = g.listener.Close() }
