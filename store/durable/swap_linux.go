package durable

import (
	"errors"

	"golang.org/x/sys/unix"

	"terrine/store/fault"
)

// exchange swaps what two names stand for, at once. ok is false where the
// filesystem cannot.
func exchange(a, b string) (ok bool, err error) {
	err = fault.Retry(func() error { return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE) })
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return false, nil
	}
	return err == nil, err
}
