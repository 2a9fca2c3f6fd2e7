package perfopt

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/perfopt/perfopt/runtime/config"
)

// StateDir returns the folder where a daemon keeps what survives a restart:
// the configured one, else $STATE_DIRECTORY (set by systemd), else perfopt in
// the user's state folder.
func StateDir(cfg Config) (string, error) {
	if cfg.State.Dir != "" {
		return cfg.State.Dir, nil
	}
	if dir := os.Getenv("STATE_DIRECTORY"); dir != "" {
		first, _, _ := strings.Cut(dir, ":")
		return first, nil
	}
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "perfopt"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no folder for the state: %w: set state.dir", err)
	}
	return filepath.Join(home, ".local", "state", "perfopt"), nil
}

// readSalt returns the secret that key hashes are salted with. It is kept in
// the state folder, so that state which policies exported stays true; without
// folder it is new each time.
func readSalt(dir string) (uint64, error) {
	var salt [8]byte
	if dir == "" {
		if _, err := rand.Read(salt[:]); err != nil {
			return 0, err
		}
		return binary.LittleEndian.Uint64(salt[:]), nil
	}
	path := filepath.Join(dir, "salt")
	text, err := os.ReadFile(path)
	if err == nil && len(text) == len(salt) {
		return binary.LittleEndian.Uint64(text), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("state folder: %w", err)
	}
	if _, err := rand.Read(salt[:]); err != nil {
		return 0, err
	}
	if err := os.WriteFile(path, salt[:], 0o600); err != nil {
		return 0, fmt.Errorf("state folder: %w", err)
	}
	return binary.LittleEndian.Uint64(salt[:]), nil
}

// readToken returns the admin token that a setting refers to. A file that
// others can read is refused: security settings do not degrade silently.
func readToken(setting string) (string, error) {
	kind, name, _ := strings.Cut(setting, ":")
	switch kind {
	case "":
		return "", nil
	case "env":
		token := os.Getenv(name)
		if token == "" {
			return "", fmt.Errorf("listen.admin_token: the environment has no %s", name)
		}
		return token, nil
	case "file":
		info, err := os.Stat(name)
		if err != nil {
			return "", fmt.Errorf("listen.admin_token: %w", err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			return "", fmt.Errorf("listen.admin_token: %s can be read by others: chmod 600 it", name)
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return "", fmt.Errorf("listen.admin_token: %w", err)
		}
		token := strings.TrimSpace(string(text))
		if token == "" {
			return "", fmt.Errorf("listen.admin_token: %s is empty", name)
		}
		return token, nil
	}
	return "", fmt.Errorf(`listen.admin_token: %q: want "file:PATH" or "env:NAME"`, setting)
}

// maxPolicyFile bounds a module read from a file before the host's own limit
// is applied.
const maxPolicyFile = 64 << 20

// readModule reads a module that policies.toml names; a relative path is from
// the folder of policies.toml.
func (rt *Runtime) readModule(path string) ([]byte, error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(rt.baseDir, path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("policy module: %w", err)
	}
	if info.Size() > maxPolicyFile {
		return nil, fmt.Errorf("policy module %s is larger than %s", path, config.Size(maxPolicyFile))
	}
	return os.ReadFile(path)
}
