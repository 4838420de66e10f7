package durable

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// This file keeps what the file of an exclusive lock says: which process holds it,
// or held it last, for the message of those who wait, and the holder's notes.
//
// The process is an extended attribute of the file, which lies within the inode.
// Contents would take a block of the disk, for each of the thousand locks of an
// import: to be brought to disk by the sync of what the locks protect, freed when
// they end, and then discarded, one by one. Where files have no such attributes
// the process is the first line of the contents. Notes are behind that line,
// whether it is there or is a hole.
const (
	holderAttr = "user.terrine.holder"
	signature  = "%-20d\n"
	headSize   = 20 + 1

	maxNotes = 1 << 30 // bytes of notes that are read: some 10 million lines
)

func (l *Lock) sign() {
	if l.mode != Exclusive {
		return
	}
	pid := os.Getpid()
	if unix.Fsetxattr(int(l.f.Fd()), holderAttr, strconv.AppendInt(nil, int64(pid), 10), 0) != nil {
		l.f.WriteAt(fmt.Appendf(nil, signature, pid), 0)
	}
}

// readHolder returns the process that signed, if it is running, or 0.
func readHolder(f *os.File) int {
	var b [20]byte
	if n, err := unix.Fgetxattr(int(f.Fd()), holderAttr, b[:]); err == nil {
		if pid := running(b[:n]); pid != 0 {
			return pid
		}
	}
	n, _ := f.ReadAt(b[:], 0)
	return running(b[:n])
}

func running(b []byte) int {
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid <= 0 || errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
		return 0
	}
	return pid
}

// Note appends a line to the file of an exclusive lock, for those who find
// the file when its holder is gone. It is for one goroutine at a time.
func (l *Lock) Note(line string) error {
	end, err := l.f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	end = max(end, headSize)
	if _, err = l.f.WriteAt([]byte(line+"\n"), end); err != nil {
		_ = l.f.Truncate(end) // or the next note would continue half a line
	}
	return err
}

// Notes returns the lines of Note, by this holder and those before it. A last
// one that is cut off is left out.
func (l *Lock) Notes() ([]string, error) { return readNotes(l.f) }

// A Holder is what the file of an exclusive lock says of who holds it.
type Holder struct {
	Held  bool
	PID   int      // of the process that holds it, or held it last; 0: not known
	Notes []string // the lines of Note
}

// Inspect looks at the file of an exclusive lock without waiting for it. What
// is noted meanwhile may be missing. If there is no such file,
// errors.Is(err, fs.ErrNotExist).
func Inspect(path string) (*Holder, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := &Holder{PID: readHolder(f)}
	err = flock(f, unix.LOCK_SH|unix.LOCK_NB) // ends with f
	if h.Held = errors.Is(err, unix.EWOULDBLOCK); err != nil && !h.Held {
		return nil, err
	}
	h.Notes, err = readNotes(f)
	return h, err
}

func readNotes(f *os.File) ([]string, error) {
	b, err := io.ReadAll(io.NewSectionReader(f, headSize, maxNotes+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxNotes {
		return nil, fmt.Errorf("read %s: more than %d bytes of notes", f.Name(), maxNotes)
	}
	lines := strings.Split(string(b), "\n")
	return lines[:len(lines)-1], nil
}
