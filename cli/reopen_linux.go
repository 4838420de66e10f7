package cli

import (
	"io/fs"
	"os"
	"strconv"
	"syscall"
	"time"
)

// reopen opens the pipe or terminal behind f once more, for this process
// alone. It returns nil for other files, which do not block for long, and
// where it is not allowed.
func reopen(f *os.File, flag int) *os.File {
	info, err := f.Stat()
	if err != nil || info.Mode()&(fs.ModeNamedPipe|fs.ModeCharDevice) == 0 {
		return nil
	}
	path := "/proc/self/fd/" + strconv.Itoa(int(f.Fd()))
	own, err := os.OpenFile(path, flag|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil
	}
	// /dev/null and the like know no deadlines, and need none.
	if err := own.SetDeadline(time.Time{}); err != nil {
		own.Close()
		return nil
	}
	return own
}
