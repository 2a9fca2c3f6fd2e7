// Package ref turns the text with which a policy is named into a policy that
// can be seated, wherever it comes from: the daemon, replay and experiments all
// ask here.
//
//		builtin:lru         a native policy of this program
//		shipped:lru-c       a WebAssembly module that comes with this program
//		path/to/file.wasm   a module from a file
//		sha256:HEX          a module that was pushed, kept by its digest
//
//	  - [Resolver.Open] and [Resolver.OpenBytes] give a [Loaded] for a kind, its
//	    config checked and, if asked, its module tried.
//	  - [Loaded] makes instances of the policy, as many as wanted, until it is
//	    closed.
//	  - [Env] is what an instance is given.
//
// A compiled module is kept while somebody has it open, by its digest: swapping
// back and forth between two policies, or seating one module in many caches,
// compiles each once. The bytes that are hashed are the bytes that are
// compiled.
//
// This package must not know seats, histories or configuration files.
package ref

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/perfopt/perfopt/hostabi"
	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/builtin"
	"github.com/perfopt/perfopt/policies/shipped"
)

// The schemes of a reference.
const (
	schemeBuiltin = "builtin:"
	schemeShipped = "shipped:"
	schemeDigest  = "sha256:"
)

// maxFileBytes bounds a module that is read from a file. The host has a limit
// of its own, which may be lower.
const maxFileBytes = 64 << 20

// Blobs is where pushed modules are kept by the SHA-256 of their bytes.
type Blobs interface {
	// Get returns the bytes with that digest, in lower-case hexadecimal.
	Get(digest string) ([]byte, error)
}

// Resolver opens references. Safe for concurrent use.
type Resolver struct {
	host  *hostabi.Host
	blobs Blobs

	mu sync.Mutex // guards the fields below; not held while compiling
	// modules are those that somebody has open, by digest.
	modules map[string]*shared
}

// shared is a compiled module and how often it is open.
type shared struct {
	ready  chan struct{} // closed when module or err is set
	module *hostabi.Module
	err    error
	refs   int // guarded by Resolver.mu
}

// New returns a resolver that loads modules into h. blobs may be nil: then
// there are no pushed modules. h may be nil: then there are only native
// policies.
func New(h *hostabi.Host, blobs Blobs) *Resolver {
	return &Resolver{host: h, blobs: blobs, modules: map[string]*shared{}}
}

// OpenOptions say how a reference is opened.
type OpenOptions struct {
	// Config are the policy's settings, checked before anything else.
	Config map[string]any
	// SHA256 is the digest that the module must have, in hexadecimal; empty
	// means any. A native policy cannot be pinned.
	SHA256 string
	// Trial runs a module on inputs made for the purpose and refuses it where it
	// traps, loops or answers nonsense.
	Trial bool
}

// Open opens a reference for a kind of decision. The caller closes what it
// returns.
func (r *Resolver) Open(ctx context.Context, kind policies.Kind, use string, o OpenOptions) (*Loaded, error) {
	if name, ok := strings.CutPrefix(use, schemeBuiltin); ok {
		if o.SHA256 != "" {
			return nil, fmt.Errorf("policy %s: sha256 pins a module, and this is a part of the program: leave it out", use)
		}
		if err := builtin.Validate(string(kind), name, o.Config); err != nil {
			return nil, err
		}
		return &Loaded{ref: use, kind: kind, builtin: name, config: o.Config}, nil
	}
	wasm, pinned, err := r.read(use)
	if err != nil {
		return nil, fmt.Errorf("policy %s: %w", use, err)
	}
	if pinned != "" {
		if err := checkDigest(wasm, pinned); err != nil {
			return nil, fmt.Errorf("policy %s: %w", use, err)
		}
	}
	return r.open(ctx, kind, use, wasm, o)
}

// OpenBytes opens a module given by its bytes. Its reference is its digest. The
// caller must not change wasm afterwards.
func (r *Resolver) OpenBytes(ctx context.Context, kind policies.Kind, wasm []byte, o OpenOptions) (*Loaded, error) {
	return r.open(ctx, kind, schemeDigest+digestOf(wasm), wasm, o)
}

// read returns the bytes behind a reference and the digest that the reference
// itself promises.
func (r *Resolver) read(use string) (wasm []byte, digest string, err error) {
	switch {
	case strings.HasPrefix(use, schemeShipped):
		return shipped.Module(strings.TrimPrefix(use, schemeShipped))
	case strings.HasPrefix(use, schemeDigest):
		digest = strings.ToLower(strings.TrimPrefix(use, schemeDigest))
		if b, err := hex.DecodeString(digest); err != nil || len(b) != sha256.Size {
			return nil, "", errors.New("want sha256: and 64 hexadecimal digits")
		}
		if r.blobs == nil {
			return nil, "", errors.New("no modules are kept here: give a file or a shipped policy")
		}
		wasm, err = r.blobs.Get(digest)
		return wasm, digest, err
	case strings.HasSuffix(use, ".wasm"):
		wasm, err = readFile(use)
		return wasm, "", err
	}
	return nil, "", errors.New(`want "builtin:NAME", "shipped:NAME", a path that ends in .wasm, or "sha256:HEX"`)
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read from
	wasm, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, err
	}
	if len(wasm) > maxFileBytes {
		return nil, fmt.Errorf("the file has more than %d bytes", maxFileBytes)
	}
	return wasm, nil
}

func digestOf(wasm []byte) string {
	sum := sha256.Sum256(wasm)
	return hex.EncodeToString(sum[:])
}

func checkDigest(wasm []byte, want string) error {
	if got := digestOf(wasm); got != strings.ToLower(want) {
		return fmt.Errorf("the module has sha256 %s, pinned is %s: it was changed, or the pin is of another one", got, strings.ToLower(want))
	}
	return nil
}

func (r *Resolver) open(ctx context.Context, kind policies.Kind, use string, wasm []byte, o OpenOptions) (*Loaded, error) {
	if o.SHA256 != "" {
		if err := checkDigest(wasm, o.SHA256); err != nil {
			return nil, fmt.Errorf("policy %s: %w", use, err)
		}
	}
	if r.host == nil {
		return nil, fmt.Errorf("policy %s: WebAssembly policies are switched off here", use)
	}
	s, err := r.acquire(ctx, wasm)
	if err != nil {
		return nil, fmt.Errorf("policy %s: %w", use, err)
	}
	l := &Loaded{ref: use, kind: kind, config: o.Config, module: s.module, release: func() error { return r.release(s) }}
	if err := l.check(ctx, o.Trial); err != nil {
		return nil, errors.Join(fmt.Errorf("policy %s: %w", use, err), l.Close())
	}
	return l, nil
}

// acquire returns the compiled module of those bytes. Callers that ask for the
// same one at the same time wait for one compilation.
func (r *Resolver) acquire(ctx context.Context, wasm []byte) (*shared, error) {
	digest := digestOf(wasm)
	r.mu.Lock()
	s, known := r.modules[digest]
	if !known {
		s = &shared{ready: make(chan struct{})}
		r.modules[digest] = s
	}
	s.refs++
	r.mu.Unlock()
	if !known {
		// Not with the first caller's ctx: others wait for it too.
		s.module, s.err = r.host.Load(context.WithoutCancel(ctx), wasm)
		close(s.ready)
	}
	select {
	case <-s.ready:
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), r.release(s))
	}
	if s.err != nil {
		return nil, errors.Join(s.err, r.release(s))
	}
	return s, nil
}

// release gives one reference back; the last one closes the module.
func (r *Resolver) release(s *shared) error {
	r.mu.Lock()
	s.refs--
	last := s.refs == 0
	if last {
		for digest, other := range r.modules {
			if other == s {
				delete(r.modules, digest)
			}
		}
	}
	r.mu.Unlock()
	if !last {
		return nil
	}
	<-s.ready // the one that compiles holds a reference, so this does not wait
	if s.module == nil {
		return nil
	}
	return s.module.Close()
}
