package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is one of those that are compared.
type server struct {
	name string
	url  string // without a path
	cmd  *exec.Cmd
	hit  func(http.Header) bool // whether an answer was a hit; nil: it has no cache
}

// servers are what runs.
type servers struct {
	servers  []*server
	origin   *server
	baseline *server // nginx
}

// configurations of perfoptd. A client that is a trusted proxy is answered
// through net/http, never by the fast lane.
var configurations = []struct {
	name string
	set  []string
}{
	{"perfoptd builtin:linear", nil},
	{"perfoptd shipped:lru-c", []string{"policy.eviction.use=shipped:lru-c"}},
	{"perfoptd net/http", []string{"proxy.trusted_proxies=127.0.0.1"}},
}

// startAll starts the servers. Stop what it returns also after an error.
func startAll(ctx context.Context, dir string) (*servers, error) {
	all := &servers{}
	self, err := os.Executable()
	if err != nil {
		return all, err
	}
	origin := &server{name: "demo origin, bare", cmd: exec.Command(self, "-origin")}
	all.servers, all.origin = append(all.servers, origin), origin
	if origin.url, err = start(ctx, origin.cmd, regexp.MustCompile(`^origin (http://\S+)`)); err != nil {
		return all, fmt.Errorf("origin: %w", err)
	}
	nginx, err := startNginx(ctx, dir, origin.url)
	if nginx != nil {
		all.servers, all.baseline = append(all.servers, nginx), nginx
	}
	if err != nil {
		return all, fmt.Errorf("nginx: %w", err)
	}
	binary := filepath.Join(dir, "perfoptd")
	if err := build(ctx, binary); err != nil {
		return all, fmt.Errorf("build perfoptd: %w", err)
	}
	for i, c := range configurations {
		args := []string{}
		home := filepath.Join(dir, "perfoptd-"+strconv.Itoa(i))
		if err := os.Mkdir(home, 0o700); err != nil {
			return all, err
		}
		for _, set := range append([]string{
			"listen.proxy=127.0.0.1:0", "listen.admin=127.0.0.1:0", "state.dir=" + home, "origin.url=" + origin.url, "log.level=warn",
		}, c.set...) {
			args = append(args, "-set", set)
		}
		s := &server{name: c.name, cmd: exec.Command(binary, args...)}
		s.cmd.Dir = home
		s.hit = func(h http.Header) bool { return strings.Contains(h.Get("Cache-Status"), "; hit") }
		all.servers = append(all.servers, s)
		if s.url, err = start(ctx, s.cmd, regexp.MustCompile(`^\s*proxy\s+(http://\S+)`)); err != nil {
			return all, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return all, nil
}

// build builds perfoptd as its own module has it.
func build(ctx context.Context, binary string) error {
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/perfopt/perfopt")
	root, err := list.Output()
	if err != nil {
		return fmt.Errorf("find its module: %w; run this in bench/peers", err)
	}
	c := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/perfoptd")
	c.Dir = strings.TrimSpace(string(root))
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// start starts a server and returns the address in its first line that
// matches.
func start(ctx context.Context, cmd *exec.Cmd, line *regexp.Regexp) (string, error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return "", err
	}
	found := make(chan string, 1)
	go func() { // ends with the process
		defer close(found)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if m := line.FindStringSubmatch(lines.Text()); m != nil {
				found <- m[1]
				break
			}
		}
		_, _ = io.Copy(io.Discard, out)
	}()
	select {
	case url, ok := <-found:
		if !ok {
			return "", errors.New("it ended before it listened")
		}
		return url, nil
	case <-ctx.Done():
		return "", ctx.Err()
	case <-time.After(time.Minute):
		return "", errors.New("it did not listen within a minute")
	}
}

// nginxConfig is nginx as a caching proxy at its best here: kept connections on
// both sides, open files remembered, no access log. With sendfile it needs a
// sixth more CPU time for these answers, without open_file_cache a quarter more.
const nginxConfig = `
daemon off;
worker_processes auto;
pid %[1]s/nginx.pid;
error_log stderr error;
events { worker_connections 4096; }
http {
    access_log off;
    sendfile off;
    keepalive_requests 1000000000;
    open_file_cache max=10000 inactive=1h;
    open_file_cache_valid 1h;
    client_body_temp_path %[1]s/body;
    proxy_temp_path %[1]s/proxy;
    fastcgi_temp_path %[1]s/fastcgi;
    uwsgi_temp_path %[1]s/uwsgi;
    scgi_temp_path %[1]s/scgi;
    proxy_cache_path %[1]s/cache levels=1:2 keys_zone=pages:16m max_size=256m inactive=1h use_temp_path=off;
    upstream origin { server %[2]s; keepalive 64; }
    server {
        listen %[3]s;
        location / {
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_cache pages;
            proxy_cache_lock on;
            add_header X-Cache $upstream_cache_status;
        }
    }
}
`

func startNginx(ctx context.Context, dir, origin string) (*server, error) {
	program, err := find("nginx")
	if err != nil {
		return nil, err
	}
	home := filepath.Join(dir, "nginx")
	if err := os.Mkdir(home, 0o755); err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf(nginxConfig, home, strings.TrimPrefix(origin, "http://"), address)
	if os.Geteuid() == 0 {
		text = "user root;\n" + text // its workers could not enter the temporary directory
	}
	file := filepath.Join(home, "nginx.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	s := &server{
		name: "nginx proxy_cache", url: "http://" + address,
		cmd: exec.Command(program, "-p", home, "-e", "stderr", "-c", file),
		hit: func(h http.Header) bool { return h.Get("X-Cache") == "HIT" },
	}
	s.cmd.Stderr = os.Stderr
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	return s, accepts(ctx, address)
}

// freeAddress returns a loopback address on which nobody listens at the moment.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// accepts waits until somebody accepts connections.
func accepts(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := net.Dial("tcp", address)
		if err == nil {
			return c.Close()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

// stop ends what was started, in reverse order.
func (s *servers) stop() {
	for i := len(s.servers) - 1; i >= 0; i-- {
		cmd := s.servers[i].cmd
		if cmd.Process == nil {
			continue
		}
		_ = cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		kill.Stop()
	}
}

// cpu returns the CPU time that a server and its children have used.
func (s *server) cpu() (time.Duration, error) {
	total := time.Duration(0)
	pids := []int{s.cmd.Process.Pid}
	for len(pids) > 0 {
		pid := pids[0]
		pids = pids[1:]
		used, err := cpuOf(pid)
		if err != nil {
			return 0, err
		}
		total += used
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		if err != nil {
			return 0, err
		}
		for field := range strings.FieldsSeq(string(children)) {
			child, err := strconv.Atoi(field)
			if err != nil {
				return 0, err
			}
			pids = append(pids, child)
		}
	}
	return total, nil
}

// clockTick is the unit of CPU times in /proc: USER_HZ, 100 a second on Linux.
const clockTick = 10 * time.Millisecond

func cpuOf(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name in parentheses may hold anything; utime and stime are the 12th
	// and 13th fields behind it.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	ticks := 0
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick, nil
}

// memory returns the resident memory of a server and its children in bytes.
func (s *server) memory() int64 {
	total := int64(0)
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", s.cmd.Process.Pid))
	for _, pid := range append(strings.Fields(string(children)), strconv.Itoa(s.cmd.Process.Pid)) {
		text, err := os.ReadFile("/proc/" + pid + "/statm")
		if err != nil {
			continue
		}
		if fields := strings.Fields(string(text)); len(fields) > 1 {
			pages, _ := strconv.ParseInt(fields[1], 10, 64)
			total += pages * int64(os.Getpagesize())
		}
	}
	return total
}
