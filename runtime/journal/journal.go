// Package journal remembers what each seat held: who put it there, when, with
// which digest and why. It also keeps the modules that were pushed, by digest,
// so that a seat can hold after a restart what it held before.
//
//   - [Open] reads a state folder; "" keeps everything in memory only.
//   - [Journal.Append] adds an [Entry]; [Journal.History] and [Journal.Current]
//     read a seat's; [Journal.Before] finds what a rollback returns to.
//   - [Journal.PutModule] and [Journal.Get] keep modules by SHA-256.
//
// On disk: journal.jsonl, one entry a line, appended and synced; and
// modules/HEX.wasm, written aside and renamed. A half-written last line (a
// crash) is cut off and reported by [Journal.Damage]; a damaged line inside is
// skipped and reported, the rest is kept.
//
// This package must not know what a policy is or how one is loaded: an entry
// is text.
//
// Caveats. A process of its own must not write the same folder: the daemon
// holds a lock file for that. The history of a seat in memory is bounded to
// the last 1,000 entries; the file is compacted to them when it is opened.
package journal

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"
)

// maxEntries bounds the history of one seat.
const maxEntries = 1000

// ErrNoModule is returned for a digest that the journal does not hold.
var ErrNoModule = errors.New("no module with that digest")

// Source says by which way a policy came to its seat.
type Source string

// The sources.
const (
	SourceFile       Source = "file"       // policies.toml said so
	SourcePush       Source = "push"       // somebody pushed it
	SourceRollback   Source = "rollback"   // somebody rolled back to it
	SourceQuarantine Source = "quarantine" // the policy before it was put in quarantine
)

// Entry is one change of a seat.
type Entry struct {
	ID       uint64          `json:"id"`              // counts up over all seats, from 1
	Seat     string          `json:"seat"`            //
	At       time.Time       `json:"at"`              //
	Source   Source          `json:"source"`          //
	Who      string          `json:"who,omitempty"`   // remote address or "embedder"; empty for the file
	Why      string          `json:"why,omitempty"`   // free text
	Use      string          `json:"use"`             // reference that opens the policy again
	Config   json.RawMessage `json:"config,omitzero"` // the policy's settings
	Name     string          `json:"name"`            // the policy's own name
	Version  string          `json:"version,omitempty"`
	Digest   string          `json:"digest,omitempty"`    // SHA-256 of the module; empty for built-ins
	Restores uint64          `json:"restores,omitempty"`  // entry that a rollback returned to
	FileText string          `json:"file_text,omitempty"` // digest of the seat's text in policies.toml at that time
	Bad      bool            `json:"bad,omitempty"`       // what the seat held before went to quarantine
}

// Journal is the memory of all seats. Safe for concurrent use.
type Journal struct {
	dir string

	mu sync.Mutex
	// guards the fields below
	lastID  uint64
	entries map[string][]Entry
	modules map[string][]byte // of a journal without folder
	bad     map[string]bool   // Use+Digest of quarantined policies, by seat
	damage  []string
	lock    *os.File
}

// Open reads the folder, creating it (mode 0700) where it is missing.
func Open(dir string) (*Journal, error) {
	j := &Journal{dir: dir, entries: map[string][]Entry{}, modules: map[string][]byte{}, bad: map[string]bool{}}
	if dir == "" {
		return j, nil
	}
	if err := os.MkdirAll(filepath.Join(dir, "modules"), 0o700); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	j.lock = lock
	if err := j.read(); err != nil {
		lock.Close()
		return nil, fmt.Errorf("state folder: %w", err)
	}
	return j, nil
}

func (j *Journal) file() string { return filepath.Join(j.dir, "journal.jsonl") }

func (j *Journal) read() error {
	text, err := os.ReadFile(j.file())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	total, lineNumber := 0, 0
	for line := range bytes.Lines(text) {
		lineNumber++
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil || e.Seat == "" || !bytes.HasSuffix(line, []byte("\n")) {
			j.damage = append(j.damage, fmt.Sprintf("%s:%d: not an entry, skipped", j.file(), lineNumber))
			continue
		}
		total++
		j.remember(e)
	}
	kept := 0
	for _, entries := range j.entries {
		kept += len(entries)
	}
	if kept == total && len(j.damage) == 0 {
		return nil
	}
	return j.compact(text)
}

// compact writes the kept entries to the file. A damaged file is kept beside
// it, so that nothing is lost.
func (j *Journal) compact(former []byte) error {
	if len(j.damage) > 0 {
		if err := writeFile(j.file()+".damaged", former); err != nil {
			return err
		}
	}
	var kept []Entry
	for _, entries := range j.entries {
		kept = append(kept, entries...)
	}
	slices.SortFunc(kept, func(a, b Entry) int { return cmp.Compare(a.ID, b.ID) })
	var out bytes.Buffer
	for _, e := range kept {
		line, err := json.Marshal(e)
		if err != nil {
			return err
		}
		out.Write(append(line, '\n'))
	}
	return writeFile(j.file(), out.Bytes())
}

func (j *Journal) remember(e Entry) {
	entries := append(j.entries[e.Seat], e)
	if len(entries) > maxEntries {
		entries = entries[len(entries)-maxEntries:]
	}
	if e.Bad && len(entries) > 1 {
		j.bad[e.Seat+" "+identity(entries[len(entries)-2])] = true
	} else if e.Source == SourcePush {
		delete(j.bad, e.Seat+" "+identity(e)) // tried again by hand
	}
	j.entries[e.Seat] = entries
	j.lastID = max(j.lastID, e.ID)
}

// identity tells whether two entries hold the same policy.
func identity(e Entry) string {
	use := e.Use
	if e.Digest != "" {
		use = e.Digest
	}
	return use + " " + string(e.Config)
}

// Append adds an entry, giving it its ID and, where it has none, its time. The
// entry is on disk when Append returns without error.
func (j *Journal) Append(e Entry) (Entry, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e.ID = j.lastID + 1
	if e.At.IsZero() {
		e.At = time.Now().UTC()
	}
	if j.dir != "" {
		line, err := json.Marshal(e)
		if err != nil {
			return Entry{}, fmt.Errorf("journal: %w", err)
		}
		if err := appendFile(j.file(), append(line, '\n')); err != nil {
			return Entry{}, fmt.Errorf("journal: %w", err)
		}
	}
	j.remember(e)
	return e, nil
}

// History returns a seat's entries, newest first.
func (j *Journal) History(seat string) []Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	entries := j.entries[seat]
	out := make([]Entry, len(entries))
	for i, e := range entries {
		out[len(entries)-1-i] = e
	}
	return out
}

// Current returns a seat's newest entry.
func (j *Journal) Current(seat string) (Entry, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	entries := j.entries[seat]
	if len(entries) == 0 {
		return Entry{}, false
	}
	return entries[len(entries)-1], true
}

// Before returns what the seat held before what it holds: the newest earlier
// entry that is no rollback, holds another policy, and was not put in
// quarantine. Asked again after a rollback it goes further back.
func (j *Journal) Before(seat string) (Entry, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	entries := j.entries[seat]
	if len(entries) == 0 {
		return Entry{}, false
	}
	current := entries[len(entries)-1]
	before := current.ID
	if current.Restores != 0 {
		before = current.Restores
	}
	for i := len(entries) - 1; i >= 0; i-- {
		e := entries[i]
		if e.ID < before && e.Restores == 0 && identity(e) != identity(current) && !j.bad[seat+" "+identity(e)] {
			return e, true
		}
	}
	return Entry{}, false
}

// Damage lists what could not be read when the journal was opened.
func (j *Journal) Damage() []string { return j.damage }

// PutModule keeps a module and returns its digest, 64 hexadecimal digits.
func (j *Journal) PutModule(wasm []byte) (string, error) {
	sum := sha256.Sum256(wasm)
	digest := hex.EncodeToString(sum[:])
	if j.dir == "" {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.modules[digest] = bytes.Clone(wasm)
		return digest, nil
	}
	if err := writeFile(j.modulePath(digest), wasm); err != nil {
		return "", fmt.Errorf("keep module: %w", err)
	}
	return digest, nil
}

var hexDigest = regexp.MustCompile(`^[0-9a-f]{64}$`)

func (j *Journal) modulePath(digest string) string {
	return filepath.Join(j.dir, "modules", digest+".wasm")
}

// Get returns the module with that digest; [ErrNoModule] where there is none,
// another error where its bytes do not have the digest any more.
func (j *Journal) Get(digest string) ([]byte, error) {
	if !hexDigest.MatchString(digest) {
		return nil, fmt.Errorf("%q is not a SHA-256 digest: want 64 hexadecimal digits", digest)
	}
	if j.dir == "" {
		j.mu.Lock()
		defer j.mu.Unlock()
		if wasm, ok := j.modules[digest]; ok {
			return wasm, nil
		}
		return nil, fmt.Errorf("sha256:%s: %w", digest, ErrNoModule)
	}
	wasm, err := os.ReadFile(j.modulePath(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("sha256:%s: %w", digest, ErrNoModule)
	}
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(wasm); hex.EncodeToString(sum[:]) != digest {
		return nil, fmt.Errorf("%s is damaged: its content has another digest", j.modulePath(digest))
	}
	return wasm, nil
}

// Close releases the folder. Safe to call twice.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.lock == nil {
		return nil
	}
	err := j.lock.Close()
	j.lock = nil
	return err
}

func appendFile(path string, line []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, writeErr := f.Write(line)
	return errors.Join(writeErr, f.Sync(), f.Close())
}

// writeFile writes aside and renames, so that the file is old or whole.
func writeFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".writing-*")
	if err != nil {
		return err
	}
	_, writeErr := f.Write(content)
	if err := errors.Join(writeErr, f.Sync(), f.Close()); err != nil {
		os.Remove(f.Name())
		return err
	}
	return os.Rename(f.Name(), path)
}
