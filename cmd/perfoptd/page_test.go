package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// served is a daemon for the page's tests.
type served struct{ proxy, admin string }

// serve starts a daemon that ends with the test.
func serve(t *testing.T, flags ...string) served {
	t.Helper()
	dir := t.TempDir()
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	args := append([]string{"-set", "listen.proxy=127.0.0.1:0", "-set", "listen.admin=127.0.0.1:0", "-set", "state.dir=" + filepath.Join(dir, "state")}, flags...)
	cmd := exec.Command("perfoptd", args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // a daemon that has ended fails the test in another way
		if err := cmd.Wait(); err != nil {
			t.Errorf("the daemon ended with %v", err)
		}
	})
	var s served
	err = eventually(func() error {
		text, err := os.ReadFile(out.Name())
		if err != nil || !strings.Contains(string(text), "\nTry") {
			return fmt.Errorf("the daemon does not say where it listens: %v\n%s", err, text)
		}
		found := listening.FindAllStringSubmatch(string(text), -1)
		s = served{proxy: found[0][2], admin: found[1][2]}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// tab is a page in a real browser.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu sync.Mutex
	// guards the fields below
	complaints []string // of the console
	asked      []string // URLs
}

// openTab starts a browser; it ends with the test.
func openTab(t *testing.T) *tab {
	t.Helper()
	browser := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			browser = path
			break
		}
	}
	if browser == "" {
		t.Skip("there is no Chromium on PATH: apt-get install chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(browser), chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("no-sandbox", true), chromedp.Flag("disable-gpu", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.WSURLReadTimeout(patience))
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.EmulateViewport(1360, 900))
	return b
}

func (b *tab) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *cdpruntime.EventExceptionThrown:
		b.complaints = append(b.complaints, "exception: "+e.ExceptionDetails.Text)
	case *cdpruntime.EventConsoleAPICalled:
		b.complaints = append(b.complaints, fmt.Sprintf("console.%s", e.Type))
	case *cdplog.EventEntryAdded:
		b.complaints = append(b.complaints, e.Entry.Text+" "+e.Entry.URL)
	case *network.EventRequestWillBeSent:
		b.asked = append(b.asked, e.Request.URL)
	}
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// text is what a reader sees of the elements.
func (b *tab) text(selector string) (string, error) {
	quoted, err := json.Marshal(selector)
	if err != nil {
		return "", err
	}
	return chromedp.Run(b.ctx, chromedp.Evaluate[string](`[...document.querySelectorAll(`+string(quoted)+`)].filter((e) => e.checkVisibility()).map((e) => e.innerText).join("\n")`))
}

// shows waits until the elements say that.
func (b *tab) shows(selector, want string) {
	b.t.Helper()
	err := eventually(func() error {
		got, err := b.text(selector)
		if err == nil && !strings.Contains(got, want) {
			err = fmt.Errorf("%s shows %q, want %q", selector, got, want)
		}
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// scheme sets light or dark.
func (b *tab) scheme(name string) {
	b.t.Helper()
	b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
		})
		return err
	}))
}

// picture saves the page, in light and in dark, where PERFOPT_SCREENSHOTS says.
func (b *tab) picture(name string) {
	b.t.Helper()
	dir := os.Getenv("PERFOPT_SCREENSHOTS")
	if dir == "" {
		return
	}
	for _, scheme := range []string{"light", "dark"} {
		b.scheme(scheme)
		png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
		if err != nil {
			b.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+"-"+scheme+".png"), png, 0o644); err != nil {
			b.t.Fatal(err)
		}
	}
}

// wantClean wants that the page complained of nothing but what is allowed, and
// asked nobody but the daemon.
func (b *tab) wantClean(admin, allowed string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.complaints {
		if allowed == "" || !strings.Contains(c, allowed) {
			b.t.Errorf("the browser's console: %s", c)
		}
	}
	if len(b.asked) == 0 {
		b.t.Error("no request of the page was seen")
	}
	for _, u := range b.asked {
		if !strings.HasPrefix(u, admin) && !strings.HasPrefix(u, "data:") && u != "about:blank" {
			b.t.Errorf("the page asks %s", u)
		}
	}
}

// change makes a request of the admin API that must succeed.
func change(t *testing.T, method, url, body, token string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if a := ask(req); a.status != http.StatusOK {
		t.Fatalf("%s %s: %v %s", method, url, a.err, a.text)
	}
}

func get(t *testing.T, url string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if a := ask(req); a.status != http.StatusOK {
		t.Fatalf("GET %s: %v %s", url, a.err, a.text)
	}
}

func TestPageShowsWhatHappens(t *testing.T) {
	b := openTab(t)
	o := &origin{rules: map[string]rule{}, counts: map[string]int{}, release: make(chan struct{})}
	if err := o.up("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.close)
	d := serve(t, "-set", "origin.url="+o.url, "-set", "cache.max_entries=40", "-set", "scheduler.tick=50ms")
	b.do(chromedp.Navigate(d.admin + "/"))
	b.shows("#state", "live")
	b.shows("#routes", "no requests yet")
	b.shows("#seats", "eviction")
	b.shows("#seats", "linear")

	for range 3 {
		for key := range 60 {
			get(t, fmt.Sprintf("%s/page/%d", d.proxy, key%40+key/50))
		}
	}
	b.shows("#routes", "miss")
	b.shows("#routes", "hit")
	b.shows("#n-hit", "% since start")
	b.shows("#tiles", "KiB")
	change(t, http.MethodPut, d.admin+"/v1/policies/eviction", `{"use": "shipped:lru-c"}`, "")
	b.shows("#events", "eviction: lru-c seated (push)")
	b.shows("#seats", "lru-c")
	b.shows("#seats", "push")
	change(t, http.MethodPost, d.admin+"/v1/policies/eviction/rollback", "", "")
	b.shows("#events", "eviction: linear seated (rollback)")
	for _, chart := range []string{"c-hit", "c-latency", "c-limit", "c-rate", "c-machine"} {
		err := eventually(func() error {
			drawn, err := chromedp.Run(b.ctx, chromedp.Evaluate[int](`document.querySelectorAll("#`+chart+` path").length`))
			if err == nil && drawn == 0 {
				err = fmt.Errorf("chart %s is empty", chart)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	b.picture("page")
	b.wantClean(d.admin, "")
}

func TestPageAsksForItsToken(t *testing.T) {
	b := openTab(t)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := &origin{rules: map[string]rule{}, counts: map[string]int{}, release: make(chan struct{})}
	if err := o.up("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.close)
	d := serve(t, "-set", "origin.url="+o.url, "-set", "listen.admin_token=file:"+token)
	b.do(chromedp.Navigate(d.admin + "/"))
	b.shows("#ask", "needs its token")
	b.picture("token")
	b.do(chromedp.SendKeys(chromedp.CSS("#token"), "wrong\r"))
	b.shows("#ask", "That is not the token")
	b.do(chromedp.SendKeys(chromedp.CSS("#token"), "secret\r"))
	b.shows("#state", "live")
	b.shows("#seats", "eviction")
	if got, err := b.text("#ask"); err != nil || got != "" {
		t.Errorf("the question is still there: %q, %v", got, err)
	}
	b.wantClean(d.admin, "401")
}

func TestPageSurvivesTheDaemon(t *testing.T) {
	b := openTab(t)
	t.Run("while it runs", func(t *testing.T) {
		d := serve(t)
		b.do(chromedp.Navigate(d.admin + "/"))
		b.shows("#state", "live")
	})
	b.shows("#state", "connection lost")
	b.picture("lost")
}
