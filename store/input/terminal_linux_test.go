package input

import (
	"errors"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal returns the name of a terminal on which nobody types.
func terminal(t *testing.T) string {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err := errors.Join(err, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)); err != nil {
		t.Fatal(err)
	}
	return "/dev/pts/" + strconv.Itoa(number)
}

// TestReadOfATerminalIsCalledOff: /dev/tty and /dev/stdin are names, too.
func TestReadOfATerminalIsCalledOff(t *testing.T) {
	callOff(t, terminal(t), func(*File) {})
}
