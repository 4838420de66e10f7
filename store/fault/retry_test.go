package fault

import (
	"io/fs"
	"syscall"
	"testing"
)

func TestRetry(t *testing.T) {
	said := []error{&fs.PathError{Op: "statat", Path: "d", Err: syscall.EINTR}, syscall.EINTR, syscall.EIO, nil}
	calls := 0
	err := Retry(func() error { calls++; return said[calls-1] })
	if calls != 3 || err != syscall.EIO {
		t.Errorf("Retry = %v after %d calls, want %v after 3", err, calls, syscall.EIO)
	}
}
