package durable

import (
	"testing"

	"golang.org/x/sys/unix"

	"terrine/store/fault"
)

// TestFlockErrors: what says that there are no locks has a hint, by every number that
// systems have for it.
func TestFlockErrors(t *testing.T) {
	for errno, hinted := range map[unix.Errno]bool{
		unix.ENOLCK: true, unix.ENOSYS: true, unix.EINVAL: true,
		unix.ENOTSUP: true,
		unix.EIO:     false,
		unix.EBADF:   false,
	} {
		err := flockError("dir/lock", errno)
		if (fault.HintOf(err) != "") != hinted || (fault.CodeOf(err) == fault.IO) != hinted {
			t.Errorf("%v: class %d, hint %q; want one: %v", err, fault.CodeOf(err), fault.HintOf(err), hinted)
		}
	}
}
