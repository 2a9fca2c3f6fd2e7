package l2

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

func TestRedisStores(t *testing.T) {
	stores := map[string]func(*testing.T) *Redis{
		"one node": func(t *testing.T) *Redis { return startServer(t).open() },
		"cluster":  openCluster,
		"sentinel": openSentinel,
		"TLS":      openTLS,
	}
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			r := open(t)
			defer r.Close()
			ctx := t.Context()
			eventually(t, "the store answers", func() bool { return r.Ping(ctx) == nil })
			if _, err := r.Get(ctx, "k"); !errors.Is(err, ErrMiss) {
				t.Fatalf("before: error %v, want ErrMiss", err)
			}
			var items []Item
			for i := range 50 {
				items = append(items, Item{Key: "k" + strconv.Itoa(i), Value: []byte{byte(i), 0, '\r', '\n'}, TTL: time.Minute})
			}
			if err := r.Set(ctx, items...); err != nil {
				t.Fatal(err)
			}
			for _, item := range items {
				if got, err := r.Get(ctx, item.Key); err != nil || !bytes.Equal(got, item.Value) {
					t.Fatalf("%s: %q, %v, want %q", item.Key, got, err, item.Value)
				}
			}
			if ttl := r.client.PTTL(ctx, "k1").Val(); ttl <= 0 || ttl > time.Minute {
				t.Errorf("TTL %v, want up to 1m", ttl)
			}
			if err := r.Delete(ctx, "k1", "absent", "k2"); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Get(ctx, "k2"); !errors.Is(err, ErrMiss) {
				t.Fatalf("after delete: error %v, want ErrMiss", err)
			}
		})
	}
}

// openCluster starts a cluster of one node.
func openCluster(t *testing.T) *Redis {
	s := startServer(t, "--cluster-enabled", "yes")
	r, err := OpenRedis(fmt.Sprintf("redis+cluster://127.0.0.1:%d", s.port), RedisOptions{Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	direct := s.open()
	defer direct.Close()
	if err := direct.client.Do(t.Context(), "CLUSTER", "ADDSLOTSRANGE", 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the cluster is whole", func() bool {
		return direct.client.Set(t.Context(), "probe", 1, 0).Err() == nil
	})
	return r
}

// openSentinel starts a master and one sentinel that watches it.
func openSentinel(t *testing.T) *Redis {
	master := startServer(t)
	config := filepath.Join(t.TempDir(), "sentinel.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, "sentinel monitor main 127.0.0.1 %d 1\n", master.port), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	sentinel := command(t, "redis-server", config, "--sentinel", "--port", strconv.Itoa(port), "--bind", "127.0.0.1")
	if err := sentinel.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		sentinel.Process.Kill()
		sentinel.Wait()
	})
	r, err := OpenRedis(fmt.Sprintf("redis+sentinel://127.0.0.1:%d/main/0", port), RedisOptions{Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// openTLS starts a server that speaks TLS with a certificate of the test's own.
func openTLS(t *testing.T) *Redis {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	os.WriteFile(certFile, certificate, 0o600)
	os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs}), 0o600)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	startServer(t, "--tls-port", strconv.Itoa(port), "--tls-cert-file", certFile, "--tls-key-file", keyFile, "--tls-auth-clients", "no")
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certificate)
	r, err := OpenRedis(fmt.Sprintf("rediss://127.0.0.1:%d", port), RedisOptions{Timeout: patience, TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRedisForeignValues(t *testing.T) {
	s := startServer(t)
	r, err := OpenRedis(s.url(), RedisOptions{MaxValue: 1000, Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx := t.Context()
	r.client.LPush(ctx, "list", "a")
	for key, size := range map[string]int64{"largest": 1000, "large": 1001, "huge": 10 << 20} {
		if err := r.client.SetRange(ctx, key, size-1, "x").Err(); err != nil {
			t.Fatal(err)
		}
	}
	for key, want := range map[string]error{"list": ErrForeign, "largest": nil, "large": ErrForeign, "huge": ErrForeign} {
		if _, err := r.Get(ctx, key); !errors.Is(err, want) {
			t.Errorf("%s: error %v, want %v", key, err, want)
		}
	}
	if err := r.Ping(ctx); err != nil {
		t.Errorf("the connection did not survive: %v", err)
	}
}

func TestRedisOutOfMemoryIsRefusedNotAway(t *testing.T) {
	s := startServer(t, "--maxmemory", "1kb")
	r := s.open()
	defer r.Close()
	err := r.Set(t.Context(), Item{Key: "k", Value: make([]byte, 500), TTL: time.Minute})
	if !errors.Is(err, ErrRefused) {
		t.Errorf("error %v, want ErrRefused", err)
	}
}

// listen starts a TCP server for the length of the test.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return "redis://" + l.Addr().String()
}

// answering returns a server that answers every read with the same bytes.
func answering(reply string) func(net.Conn) {
	return func(c net.Conn) {
		b := make([]byte, 4096)
		for {
			if _, err := c.Read(b); err != nil {
				return
			}
			if _, err := c.Write([]byte(reply)); err != nil {
				return
			}
		}
	}
}

func TestHostileServers(t *testing.T) {
	noise := make([]byte, 64<<10)
	rand.Read(noise)
	servers := map[string]func(net.Conn){
		"closes at once":       func(net.Conn) {},
		"says nothing":         answering(""),
		"noise":                answering(string(noise)),
		"speaks HTTP":          answering("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
		"announces 512 MiB":    answering("$536870912\r\nabc"),
		"announces many items": answering("*2147483647\r\n"),
		"endless line":         answering("+" + string(bytes.Repeat([]byte{'x'}, 32<<10))),
		"only errors":          answering("-ERR unknown command\r\n"),
		"integers":             answering(":1\r\n:2\r\n:3\r\n"),
		"nested arrays":        answering(string(bytes.Repeat([]byte("*1\r\n"), 10_000))),
	}
	for name, serve := range servers {
		t.Run(name, func(t *testing.T) {
			r, err := OpenRedis(listen(t, serve), RedisOptions{Timeout: 20 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			tier := newTestTier(t, r, TierOptions{Timeout: 20 * time.Millisecond})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for i := range 100 {
				key := strconv.Itoa(i)
				lease := tier.Lease(key)
				if e, ok := tier.Get(t.Context(), key); ok {
					t.Fatalf("answered %+v", e)
				}
				tier.Fill(lease, entry("value"))
				tier.Delete(key + "x")
			}
			eventually(t, "the breaker opens", func() bool { return tier.State() != StateClosed })
			runtime.ReadMemStats(&after)
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 64<<20 {
				t.Errorf("allocated %d MiB, want at most 64", grown>>20)
			}
		})
	}
}

// A server that mixes up answers gives another key's entry.
func TestMixedUpAnswersAreNoHits(t *testing.T) {
	s := startServer(t)
	r := s.open()
	tier := newTestTier(t, r, TierOptions{})
	r.client.Set(t.Context(), "mine", Seal(nil, "yours", entry("private")), 0)
	if e, ok := tier.Get(t.Context(), "mine"); ok {
		t.Errorf("served %q under another key", e.Value)
	}
	if n := tier.Stats().Corrupt; n != 1 {
		t.Errorf("%d corrupt, want 1", n)
	}
}

// A failed call is not tried again behind the caller's back.
func TestRedisDoesNotRetry(t *testing.T) {
	var connections atomic.Int32
	r, err := OpenRedis(listen(t, func(net.Conn) { connections.Add(1) }), RedisOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Ping(t.Context()); err == nil {
		t.Error("a server that hangs up answered")
	}
	eventually(t, "the connection is counted", func() bool { return connections.Load() > 0 })
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections for one call", n)
	}
}

func TestOpenRedisDoesNotConnect(t *testing.T) {
	for _, url := range []string{"redis://192.0.2.1:1", "redis+sentinel://192.0.2.1/m", "redis+cluster://192.0.2.1,192.0.2.2"} {
		r, err := OpenRedis(url, RedisOptions{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.Ping(ctx); err == nil {
			t.Errorf("%s: answered", url)
		}
		r.Close()
	}
}
