package resource

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"
)

// fixture is a copy of a file system under testdata that can be changed.
func fixture(t *testing.T, name string) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	root := os.DirFS("testdata/" + name)
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(root, path)
		files[path] = &fstest.MapFile{Data: b}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// standing is a machine of four CPUs and 8 GiB that does what the test says.
type standing struct {
	busy, total, processSeconds float64
}

func (h *standing) cpu() (busy, total float64, ok bool)           { return h.busy, h.total, true }
func (h *standing) memory() (ratio float64, total int64, ok bool) { return 0.3, 8 << 30, true }
func (h *standing) process() (cpuSeconds float64, rss int64)      { return h.processSeconds, 64 << 20 }

func TestSampleByLayout(t *testing.T) {
	tests := []struct {
		layout string
		// change is what happens within the next second.
		change func(fstest.MapFS, *standing)
		want   Sample
	}{
		{
			"container2",
			func(files fstest.MapFS, h *standing) {
				h.processSeconds += 0.6
				files["sys/fs/cgroup/cpu.stat"] = text("usage_usec 10750000\nnr_periods 110\nnr_throttled 13\n")
				files["sys/fs/cgroup/cpu.pressure"] = text("some avg10=0.00 avg60=0.00 avg300=0.00 total=1250000\n")
				files["sys/fs/cgroup/memory.pressure"] = text("some avg10=0.00 avg60=0.00 avg300=0.00 total=2100000\n")
			},
			// 0.75 of 1.5 CPUs; 3 of 10 periods; (384-128) of 512 MiB.
			Sample{CPURatio: 0.5, Throttled: 0.3, CPUPressure: 0.25, MemoryPressure: 0.1, MemoryRatio: 0.5,
				CPUCores: 1.5, MemoryLimitBytes: 512 << 20, Source: "cpu: cgroup2, memory: cgroup2"},
		},
		{
			"service2",
			func(files fstest.MapFS, h *standing) {
				files["sys/fs/cgroup/system.slice/cpu.stat"] = text("usage_usec 1450000\nnr_periods 20\nnr_throttled 1\n")
			},
			// The ancestor's quota of half a CPU and limit of 256 MiB count.
			Sample{CPURatio: 0.9, Throttled: 0.1, MemoryRatio: 0.8,
				CPUCores: 0.5, MemoryLimitBytes: 256 << 20, Source: "cpu: cgroup2, memory: cgroup2"},
		},
		{
			"container1",
			func(files fstest.MapFS, h *standing) {
				files["sys/fs/cgroup/cpu,cpuacct/cpuacct.usage"] = text("5000000000\n")
				files["sys/fs/cgroup/cpu,cpuacct/cpu.stat"] = text("nr_periods 60\nnr_throttled 6\n")
			},
			Sample{CPURatio: 0.5, Throttled: 0.1, MemoryRatio: 0.5,
				CPUCores: 2, MemoryLimitBytes: 1 << 30, Source: "cpu: cgroup1, memory: cgroup1"},
		},
		{
			"hybrid",
			func(files fstest.MapFS, h *standing) {
				h.busy, h.total = h.busy+1, h.total+4
				files["proc/pressure/cpu"] = text("some avg10=0.00 avg60=0.00 avg300=0.00 total=3500000\n")
			},
			Sample{CPURatio: 0.25, CPUPressure: 0.5, MemoryRatio: 0.3, CPUCores: 4, MemoryLimitBytes: 8 << 30,
				Source: "cpu: host, memory: host"},
		},
		{
			"", // no files at all
			func(files fstest.MapFS, h *standing) { h.busy, h.total, h.processSeconds = h.busy+1, h.total+4, 2 },
			// The process uses two of the four CPUs that it may, more than the host says.
			Sample{CPURatio: 0.5, MemoryRatio: 0.3, CPUCores: 4, MemoryLimitBytes: 8 << 30,
				Source: "cpu: host, memory: host"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.layout, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				files := fstest.MapFS{}
				if tt.layout != "" {
					files = fixture(t, tt.layout)
				}
				h := &standing{}
				m := newMonitor(Options{FS: files, MinInterval: 200 * time.Millisecond}, h, 4)
				tt.change(files, h)
				if early := m.Sample(); early.CPURatio != 0 || early.Throttled != 0 {
					t.Errorf("a question within the shortest interval measured: %+v", early)
				}
				<-time.After(time.Second)
				got := m.Sample()
				tt.want.ProcessCPUSeconds, tt.want.RSSBytes = h.processSeconds, 64<<20
				if fmt.Sprintf("%.4v", got) != fmt.Sprintf("%.4v", tt.want) {
					t.Errorf("got  %+v\nwant %+v", got, tt.want)
				}
			})
		})
	}
}

func text(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }

func TestFilesThatVanishAreNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files := fixture(t, "container2")
		m := newMonitor(Options{FS: files, MinInterval: time.Millisecond}, &standing{}, 4)
		clear(files)
		<-time.After(time.Second)
		if s := m.Sample(); s.CPURatio != 0 || s.Throttled != 0 || s.MemoryRatio != 0.3 || s.Source != "cpu: host, memory: host" {
			t.Errorf("got %+v", s)
		}
	})
}

// The real machine: work that uses a CPU shows.
func TestBurningCPUShows(t *testing.T) {
	m := New(Options{MinInterval: 50 * time.Millisecond})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var wait sync.WaitGroup
	defer wait.Wait()
	stop, stopBurning := context.WithCancel(ctx)
	defer stopBurning()
	wait.Go(func() {
		for n := 0; stop.Err() == nil; n++ {
			_ = strings.Count(strings.Repeat("work", 100), "k")
		}
	})
	before := m.Sample().ProcessCPUSeconds
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		s := m.Sample()
		// One busy goroutine is at least a quarter of what a small machine has.
		if s.CPURatio > 0.2/s.CPUCores && s.ProcessCPUSeconds > before {
			if s.MemoryRatio <= 0 || s.MemoryRatio > 1 || s.RSSBytes <= 0 || s.MemoryLimitBytes <= 0 {
				t.Errorf("got %+v", s)
			}
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the burner never showed: %+v", s)
		case <-tick.C:
		}
	}
}

func TestMonitorHammer(t *testing.T) {
	m := New(Options{MinInterval: time.Nanosecond})
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range 20 {
				if s := m.Sample(); s.CPURatio < 0 || s.CPURatio > 1 || s.MemoryRatio < 0 || s.MemoryRatio > 1 {
					t.Errorf("ratios out of range: %+v", s)
				}
			}
		})
	}
	wait.Wait()
}

func BenchmarkSample(b *testing.B) {
	m := New(Options{MinInterval: time.Nanosecond})
	b.ReportAllocs()
	for b.Loop() {
		m.Sample()
	}
}

func Example() {
	m := New(Options{})
	s := m.Sample()
	fmt.Println(s.CPUCores > 0, s.MemoryRatio > 0, s.Source != "")
	// Output: true true true
}
