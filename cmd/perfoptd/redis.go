package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	hclog "github.com/hashicorp/go-hclog"

	"github.com/perfopt/perfopt/runtime/config"
)

const (
	redisStart = 5 * time.Second // bound for a redis-server to listen
	redisStop  = 3 * time.Second // bound for one to end before it is killed
)

// redisChild is a redis-server of our own, without persistence.
type redisChild struct {
	url    string
	cmd    *exec.Cmd
	exited chan struct{}
	dir    string
}

// startRedis starts a redis-server for -dev. It returns nil where it is not
// wanted or not there; the note says which.
func startRedis(cfg config.Config) (*redisChild, string, error) {
	if cfg.Cache.L2.URL != "" {
		return nil, "-dev: cache.l2.url is set, so no redis-server is started", nil
	}
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, "-dev: there is no redis-server on PATH, so there is no second tier (apt-get install redis-server)", nil
	}
	port, err := freePort()
	if err != nil {
		return nil, "", err
	}
	dir, err := os.MkdirTemp("", "perfoptd-redis-")
	if err != nil {
		return nil, "", err
	}
	r := &redisChild{url: fmt.Sprintf("redis://127.0.0.1:%d/0", port), exited: make(chan struct{}), dir: dir}
	r.cmd = exec.Command(path, "--bind", "127.0.0.1", "--port", fmt.Sprint(port), "--save", "", "--appendonly", "no", "--dir", dir,
		"--maxmemory", "256mb", "--maxmemory-policy", "allkeys-lru")
	r.cmd.SysProcAttr = childAttributes()
	if err := r.cmd.Start(); err != nil {
		return nil, "", errors.Join(fmt.Errorf("-dev: %w", err), os.RemoveAll(dir))
	}
	go func() {
		_ = r.cmd.Wait() // how it ends is told by exited alone
		close(r.exited)
	}()
	if err := r.await(port); err != nil {
		r.stop(hclog.NewNullLogger())
		return nil, "", err
	}
	return r, fmt.Sprintf("-dev: started redis-server (pid %d) at %s as second tier; it ends with the daemon", r.cmd.Process.Pid, r.url), nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// await waits until the server accepts connections.
func (r *redisChild) await(port int) error {
	end := time.Now().Add(redisStart)
	for time.Now().Before(end) {
		conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-r.exited:
			return errors.New("-dev: redis-server ended at once: run it by hand to see why")
		case <-time.After(20 * time.Millisecond):
		}
	}
	return fmt.Errorf("-dev: redis-server does not listen after %s", redisStart)
}

// stop ends the server and removes its folder.
func (r *redisChild) stop(log hclog.Logger) {
	_ = r.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-r.exited:
	case <-time.After(redisStop):
		_ = r.cmd.Process.Kill()
		<-r.exited
	}
	if err := os.RemoveAll(r.dir); err != nil {
		log.Warn("the folder of redis-server is left", "error", err)
	}
}
