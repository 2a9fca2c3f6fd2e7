//go:build !unix

package journal

import (
	"fmt"
	"os"
	"path/filepath"
)

// lockFolder opens the lock file; without flock two daemons are not kept apart.
func lockFolder(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	return f, nil
}
