package fault

import (
	"errors"
	"syscall"
)

// Retry calls f until no signal interrupts it (EINTR), which file systems in user
// space and on networks allow, and returns its last error. Package os does so
// itself, but for Lstat, Stat, Symlink and Link of a Root.
func Retry(f func() error) error {
	for {
		if err := f(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
