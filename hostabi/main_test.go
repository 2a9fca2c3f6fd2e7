package hostabi_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/perfopt/perfopt/hostabi"
	"github.com/perfopt/perfopt/policies"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const someNow policies.Nanos = 1_700_000_000e9

func newHost(t testing.TB, o hostabi.Options) *hostabi.Host {
	t.Helper()
	h, err := hostabi.New(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("close the host: %v", err)
		}
	})
	return h
}

func wasm(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".wasm"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func load(t testing.TB, h *hostabi.Host, b []byte) *hostabi.Module {
	t.Helper()
	m, err := h.Load(context.Background(), b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func loadNamed(t testing.TB, h *hostabi.Host, name string) *hostabi.Module {
	t.Helper()
	return load(t, h, wasm(t, name))
}

func lruC(t testing.TB, h *hostabi.Host) *hostabi.Module {
	t.Helper()
	b, err := os.ReadFile("../policies/shipped/lru-c.wasm")
	if err != nil {
		t.Fatal(err)
	}
	return load(t, h, b)
}

// closing closes an instance at the end of the test.
func closing[P any](t testing.TB) func(p P, err error) P {
	return func(p P, err error) P {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := any(p).(interface{ Close() error }).Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
		return p
	}
}

// ttlBatch makes n rows for a TTL policy; base is the column base_ttl_s.
func ttlBatch(p policies.TTL, n int, base float64) *policies.TTLBatch {
	var b policies.TTLBatch
	b.Resize(n, p.Info().Columns)
	b.Now = someNow
	for row := range n {
		b.KeyHash[row] = policies.KeyHash(row)
		b.Set(policies.ColBaseTTL, row, base+float64(row))
	}
	return &b
}
