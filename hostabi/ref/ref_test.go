package ref_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/perfopt/perfopt/hostabi"
	"github.com/perfopt/perfopt/hostabi/ref"
	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/builtin"
	"github.com/perfopt/perfopt/policies/features"
	"github.com/perfopt/perfopt/policies/shipped"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// kept is a store of pushed modules in memory.
type kept map[string][]byte

func (k kept) Get(digest string) ([]byte, error) {
	if b, ok := k[digest]; ok {
		return b, nil
	}
	return nil, errors.New("no such module")
}

func newResolver(t *testing.T, blobs ref.Blobs) *ref.Resolver {
	t.Helper()
	h, err := hostabi.New(context.Background(), hostabi.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // fails if a test leaves a module open
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return ref.New(h, blobs)
}

func lru(t *testing.T) (wasm []byte, digest string) {
	t.Helper()
	wasm, digest, err := shipped.Module("lru-c")
	if err != nil {
		t.Fatal(err)
	}
	return wasm, digest
}

func closePolicy(t *testing.T, p any) {
	t.Helper()
	if c, ok := p.(io.Closer); ok {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestEveryReferenceOpensAndDecides(t *testing.T) {
	wasm, digest := lru(t)
	path := filepath.Join(t.TempDir(), "mine.wasm")
	if err := os.WriteFile(path, wasm, 0o644); err != nil {
		t.Fatal(err)
	}
	r := newResolver(t, kept{digest: wasm})
	for use, name := range map[string]string{
		"builtin:lru": "lru", "shipped:lru-c": "lru-c", path: "lru-c", "sha256:" + digest: "lru-c", "sha256:" + strings.ToUpper(digest): "lru-c",
	} {
		t.Run(name, func(t *testing.T) {
			l, err := r.Open(context.Background(), policies.KindEviction, use, ref.OpenOptions{Trial: true})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if l.Ref() != use || l.Info().Name != name || l.Info().Kind != policies.KindEviction {
				t.Errorf("%s: ref %q, info %+v", use, l.Ref(), l.Info())
			}
			m, isModule := l.Manifest()
			if native := strings.HasPrefix(use, "builtin:"); isModule == native || (l.Digest() == "") != native || !native && m.Name != name {
				t.Errorf("%s: module %t, digest %q, manifest %+v", use, isModule, l.Digest(), m)
			}
			o, err := l.Eviction(ref.Env{})
			if err != nil {
				t.Fatal(err)
			}
			defer closePolicy(t, o)
			if err := o.Reset(policies.Capacity{Weight: 2, MaxSlots: 8}); err != nil {
				t.Fatal(err)
			}
			events := []policies.Event{{Slot: 3, Op: policies.OpInsert}, {Slot: 5, Op: policies.OpInsert}, {Slot: 3, Op: policies.OpHit}}
			if err := o.Observe(events, []policies.Insert{{Weight: 1}, {Weight: 1}}); err != nil {
				t.Fatal(err)
			}
			out := make([]policies.Slot, 8)
			if n, err := o.Victims(1, out); n != 1 || out[0] != 5 || err != nil {
				t.Errorf("victims %v, %v", out[:n], err)
			}
		})
	}
}

func TestEveryNativePolicyOpens(t *testing.T) {
	r := ref.New(nil, nil)
	env := ref.Env{Features: features.New(features.Options{MaxSlots: 64})}
	for _, kind := range policies.Kinds() {
		for _, name := range builtin.Names(kind) {
			l, err := r.Open(context.Background(), kind, "builtin:"+name, ref.OpenOptions{})
			if err != nil {
				t.Fatal(err)
			}
			var p any
			switch kind {
			case policies.KindEviction:
				p, err = l.Eviction(env)
			case policies.KindTTL:
				p, err = l.TTL(env)
			case policies.KindPrefetch:
				p, err = l.Prefetch(env)
			case policies.KindScaling:
				p, err = l.Scaling(env)
			}
			if err != nil {
				t.Errorf("%s builtin:%s: %v", kind, name, err)
			}
			closePolicy(t, p)
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestRefusalsSayWhatWasWanted(t *testing.T) {
	wasm, digest := lru(t)
	other := strings.Repeat("0", 64)
	r := newResolver(t, kept{digest: wasm, other: wasm})
	for name, c := range map[string]struct {
		kind policies.Kind
		use  string
		o    ref.OpenOptions
		says []string
	}{
		"scheme":         {"eviction", "lru", ref.OpenOptions{}, []string{`"builtin:NAME"`, "path that ends in .wasm"}},
		"builtin":        {"eviction", "builtin:nothing", ref.OpenOptions{}, []string{"nothing", "lru"}},
		"shipped":        {"eviction", "shipped:nothing", ref.OpenOptions{}, []string{"lru-c"}},
		"file":           {"eviction", "no/such/file.wasm", ref.OpenOptions{}, []string{"no such file"}},
		"digest":         {"eviction", "sha256:12", ref.OpenOptions{}, []string{"64 hexadecimal digits"}},
		"not kept":       {"eviction", "sha256:" + strings.Repeat("1", 64), ref.OpenOptions{}, []string{"no such module"}},
		"kept wrongly":   {"eviction", "sha256:" + other, ref.OpenOptions{}, []string{digest, other}},
		"pin":            {"eviction", "shipped:lru-c", ref.OpenOptions{SHA256: other}, []string{digest, other}},
		"pin of builtin": {"eviction", "builtin:lru", ref.OpenOptions{SHA256: other}, []string{"leave it out"}},
		"kind":           {"ttl", "shipped:lru-c", ref.OpenOptions{}, []string{"lru-c decides [eviction], want ttl"}},
		"config":         {"eviction", "shipped:lru-c", ref.OpenOptions{Config: map[string]any{"a": 1}}, []string{`unknown key "a"`}},
		"builtin config": {"eviction", "builtin:lru", ref.OpenOptions{Config: map[string]any{"a": 1}}, []string{`a`}},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := r.Open(context.Background(), c.kind, c.use, c.o)
			if err == nil {
				l.Close()
				t.Fatal("was opened")
			}
			for _, s := range c.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("got %q, want %q", err, s)
				}
			}
		})
	}
}

func TestTrialRefusesNonsense(t *testing.T) {
	r := newResolver(t, nil)
	wasm, err := os.ReadFile("../testdata/ttl-nan.wasm")
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.OpenBytes(context.Background(), policies.KindTTL, wasm, ref.OpenOptions{Trial: true})
	var fault *policies.Fault
	if !errors.As(err, &fault) || fault.Reason != policies.FaultOutput {
		t.Errorf("got %v", err)
	}
	l, err := r.OpenBytes(context.Background(), policies.KindTTL, wasm, ref.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if want := "sha256:" + l.Digest(); l.Ref() != want {
		t.Errorf("ref %q, want %q", l.Ref(), want)
	}
	l.Close()
}

func TestAModuleIsCompiledOnceWhileItIsOpen(t *testing.T) {
	r := newResolver(t, nil)
	wasm, _ := lru(t)
	open := func() *ref.Loaded {
		l, err := r.OpenBytes(context.Background(), policies.KindEviction, wasm, ref.OpenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	first, second := open(), open()
	if first.Module() != second.Module() {
		t.Error("the same bytes were compiled twice")
	}
	module := first.Module()
	for range 2 { // closing twice gives back one reference
		first.Close()
	}
	if third := open(); third.Module() != module {
		t.Error("a module that was still open was compiled again")
	} else {
		third.Close()
	}
	second.Close()
	if last := open(); last.Module() == module {
		t.Error("a closed module was handed out")
	} else {
		last.Close()
	}
}

func TestOpeningFromManyGoroutines(t *testing.T) {
	r := newResolver(t, nil)
	wasm, _ := lru(t)
	bad := wasm[:100]
	var group sync.WaitGroup
	errs := make(chan error, 1000)
	for g := range 8 {
		group.Go(func() {
			for i := range 20 {
				ctx, cancel := context.WithCancel(context.Background())
				if (g+i)%5 == 0 {
					cancel()
				}
				bytes := wasm
				if (g+i)%7 == 0 {
					bytes = bad
				}
				l, err := r.OpenBytes(ctx, policies.KindEviction, bytes, ref.OpenOptions{})
				cancel()
				if err != nil {
					if len(bytes) == len(wasm) && !errors.Is(err, context.Canceled) {
						errs <- err
					}
					continue
				}
				o, err := l.Eviction(ref.Env{})
				if err == nil {
					err = errors.Join(o.Reset(policies.Capacity{Weight: 1, MaxSlots: 4}), o.(io.Closer).Close())
				}
				if err = errors.Join(err, l.Close()); err != nil {
					errs <- err
				}
			}
		})
	}
	group.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
}

func ExampleResolver_Open() {
	ctx := context.Background()
	host, err := hostabi.New(ctx, hostabi.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer host.Close()
	policy, err := ref.New(host, nil).Open(ctx, policies.KindEviction, "shipped:lru-c", ref.OpenOptions{Trial: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer policy.Close()
	fmt.Println(policy.Info().Name, policy.Info().Kind)
	// Output: lru-c eviction
}
