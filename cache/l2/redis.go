package l2

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// RedisOptions tune [OpenRedis]. The zero value is the default.
type RedisOptions struct {
	// Timeout bounds connecting, reading and writing, each. Default
	// [DefaultTimeout].
	Timeout time.Duration
	// MaxValue bounds a value in bytes: a longer one under a key is
	// [ErrForeign]. Default [DefaultMaxValue].
	MaxValue int
	// TLS replaces the settings for rediss URLs. Default: TLS 1.2 or later,
	// the system's roots, the host's name.
	TLS *tls.Config
	// PoolSize bounds the connections to one node. Default 10 per processor.
	PoolSize int
}

// Redis is a [Store] in Redis: one node, a master found through sentinels, or
// a cluster. Safe for concurrent use.
type Redis struct {
	client   redis.UniversalClient
	maxValue int
}

var _ Store = (*Redis)(nil)

// OpenRedis reads a URL (redis, rediss, redis+sentinel, rediss+sentinel,
// redis+cluster, rediss+cluster; several hosts are separated by commas, the
// master's name is the first part of a sentinel URL's path) and returns a
// client of it. It does not connect: a server that is away is noticed by the
// first call. Errors are about the URL only.
func OpenRedis(url string, o RedisOptions) (*Redis, error) {
	u, err := parseAddress(url)
	if err != nil {
		return nil, err
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.MaxValue <= 0 {
		o.MaxValue = DefaultMaxValue
	}
	if o.TLS != nil && u.TLSConfig != nil {
		u.TLSConfig = o.TLS
	}
	u.Dialer = limitedDialer(o.Timeout, o.MaxValue, u.TLSConfig)
	u.DialTimeout, u.ReadTimeout, u.WriteTimeout, u.PoolTimeout = o.Timeout, o.Timeout, o.Timeout, o.Timeout
	u.ContextTimeoutEnabled = true
	// A second try belongs to the breaker's probe, not to a request.
	u.MaxRetries, u.DialerRetries = -1, 1
	u.PoolSize = o.PoolSize
	u.PipelinePoolSize = -1
	// RESP 2 and a silent handshake: nothing arrives that was not asked for, so
	// an answer can only be mixed up by a broken server (and then the key hash
	// in the envelope tells).
	u.Protocol = 2
	u.DisableIdentity = true
	u.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return &Redis{client: redis.NewUniversalClient(u), maxValue: o.MaxValue}, nil
}

// QuietClient ends what the client library prints to standard error about its
// connections, in the whole process. It is for programs whose only Redis is
// this tier (its trouble is told through [TierOptions.OnState]); a program with
// a Redis client of its own may want those lines and must not call it.
func QuietClient() { logging.Disable() }

// limitedDialer connects and, with TLS, shakes hands within the timeout; what
// is read from the connection is bounded.
func limitedDialer(timeout time.Duration, maxValue int, config *tls.Config) func(context.Context, string, string) (net.Conn, error) {
	// The reply to a GETRANGE of maxValue+1 bytes is the longest honest one.
	maxBulk := max(maxValue+1, maxReplyLine)
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		if config == nil {
			return newLimitedConn(conn, maxBulk), nil
		}
		config := config.Clone()
		if config.ServerName == "" {
			config.ServerName, _, _ = net.SplitHostPort(addr)
		}
		secure := tls.Client(conn, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, fmt.Errorf("TLS with %s: %w", addr, err)
		}
		return newLimitedConn(secure, maxBulk), nil
	}
}

// Get reads a value. It asks for a range, so that an honest server never sends
// more than the bound; an empty value does not differ from none.
func (r *Redis) Get(ctx context.Context, key string) ([]byte, error) {
	b, err := r.client.GetRange(ctx, key, 0, int64(r.maxValue)).Bytes()
	switch {
	case err != nil && !errors.Is(err, redis.Nil):
		return nil, classify(err)
	case len(b) == 0:
		return nil, ErrMiss
	case len(b) > r.maxValue:
		return nil, fmt.Errorf("%w: more than %d bytes", ErrForeign, r.maxValue)
	}
	return b, nil
}

// Set stores the items in one round trip (one per node in a cluster).
func (r *Redis) Set(ctx context.Context, items ...Item) error {
	if len(items) == 0 {
		return nil
	}
	replies, err := r.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, item := range items {
			p.Set(ctx, item.Key, item.Value, max(item.TTL, time.Millisecond))
		}
		return nil
	})
	return firstError(replies, err)
}

// Delete unlinks the keys in one round trip (one per node in a cluster).
func (r *Redis) Delete(ctx context.Context, keys ...string) error {
	if len(keys) == 0 {
		return nil
	}
	// One command a key: a cluster refuses commands whose keys live in
	// different slots.
	replies, err := r.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, key := range keys {
			p.Unlink(ctx, key)
		}
		return nil
	})
	return firstError(replies, err)
}

// Ping asks for a sign of life.
func (r *Redis) Ping(ctx context.Context) error {
	return classify(r.client.Ping(ctx).Err())
}

// Close closes all connections. Closing twice is an error of the second call
// only.
func (r *Redis) Close() error { return r.client.Close() }

// firstError returns the gravest error of a pipeline: one that says the server
// did not work before one that says it refused a value.
func firstError(replies []redis.Cmder, err error) error {
	refused := error(nil)
	for _, reply := range replies {
		err := classify(reply.Err())
		if err != nil && !errors.Is(err, ErrRefused) {
			return err
		}
		if refused == nil {
			refused = err
		}
	}
	if refused != nil {
		return refused
	}
	return classify(err)
}

// classify maps replies of a server that is alive to this package's errors.
func classify(err error) error {
	if err == nil {
		return nil
	}
	var reply redis.Error
	if errors.As(err, &reply) {
		switch text := reply.Error(); {
		case strings.HasPrefix(text, "WRONGTYPE"):
			return fmt.Errorf("%w: %s", ErrForeign, clip(text))
		case strings.HasPrefix(text, "OOM"):
			return fmt.Errorf("%w: %s", ErrRefused, clip(text))
		}
	}
	return err
}
