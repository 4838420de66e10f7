//go:build linux

package crash

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"terrine/store"
)

// workers are the processes that work on a disk, and what they have said.
type workers struct {
	dir       string // of what they add; not on the disk that fails
	processes []*exec.Cmd
	readers   sync.WaitGroup
	said      chan struct{} // gets something when one has acknowledged something

	mu     sync.Mutex
	kept   map[string]store.Path // by name
	closed bool                  // what is said from now on may come from behind the cut
}

// close has acknowledgements count no longer. A process that lives on behind a
// cut, as none does when the power is gone, may say what is not true: the fsync
// of a directory of an XFS that was shut down finds nothing to do and succeeds.
func (w *workers) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
}

func (d *Disk) startWorkers(o CutOptions) (*workers, error) {
	w := &workers{kept: make(map[string]store.Path), said: make(chan struct{}, 1)}
	self, err := os.Executable()
	if err != nil {
		return w, err
	}
	if w.dir, err = os.MkdirTemp("", "terrine-workers-"); err != nil {
		return w, err
	}
	for i := range o.Workers {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), taskVar+"=work", storeVar+"="+d.root(), seedVar+"="+strconv.FormatUint(o.Seed*100+uint64(i), 10),
			workVar+"="+filepath.Join(w.dir, strconv.Itoa(i)))
		if o.NoSync {
			cmd.Env = append(cmd.Env, syncVar+"=1")
		}
		cmd.Stderr = &bytes.Buffer{}
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			return w, err
		}
		w.processes = append(w.processes, cmd)
		w.readers.Go(func() { w.listen(out) })
	}
	return w, nil
}

func (w *workers) listen(out io.Reader) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		verb, what, _ := strings.Cut(lines.Text(), " ")
		w.mu.Lock()
		if p, err := store.ParsePath(what); err == nil && verb == "valid" && !w.closed {
			w.kept[p.Name()] = p
		} else if verb == "letting" {
			delete(w.kept, what)
		}
		w.mu.Unlock()
		select {
		case w.said <- struct{}{}:
		default:
		}
	}
}

// await returns at a random moment, or when something was just acknowledged.
func (w *workers) await(r *rand.Rand) {
	moment := time.After(time.Duration(50+r.IntN(400)) * time.Millisecond)
	if r.IntN(2) == 0 {
		<-moment
		return
	}
	left := 1 + r.IntN(12)
	late := time.After(5 * time.Second) // on a busy machine
	for ; left > 0; left-- {
		select {
		case <-w.said:
		case <-late:
			return
		}
	}
}

func (w *workers) signal(signal syscall.Signal) error {
	for _, cmd := range w.processes {
		if err := cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
	}
	return nil
}

// stopped reports whether no thread of the processes runs, or waits in a call.
func (w *workers) stopped() bool {
	for _, cmd := range w.processes {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", cmd.Process.Pid))
		if err != nil {
			return false
		}
		for _, thread := range threads {
			stat, err := os.ReadFile(thread)
			if err != nil {
				continue // it has ended
			}
			_, state, _ := strings.Cut(string(stat), ") ") // behind the name
			if !strings.HasPrefix(state, "T") && !strings.HasPrefix(state, "Z") {
				return false
			}
		}
	}
	return true
}

// stop kills the processes, waits until all they said is known, and removes
// what they would have added.
func (w *workers) stop() error {
	return errors.Join(w.end(), os.RemoveAll(w.dir))
}

func (w *workers) end() error {
	if err := w.signal(syscall.SIGKILL); err != nil {
		return err
	}
	w.readers.Wait()
	for _, cmd := range w.processes {
		// It was killed, or has failed for want of a disk.
		if err := cmd.Wait(); err == nil {
			return errors.New("a worker has ended")
		}
		if !cmd.ProcessState.Sys().(syscall.WaitStatus).Signaled() && !diskGone(cmd.Stderr) {
			return fmt.Errorf("a worker has failed: %s", cmd.Stderr)
		}
	}
	return nil
}

// structureDamaged is EUCLEAN of Linux, which other systems do not have: what xfs
// says when it meets its own metadata half written.
const structureDamaged = syscall.Errno(117)

// diskGone reports whether a worker has failed as it must without a disk.
func diskGone(stderr io.Writer) bool {
	text := fmt.Sprint(stderr)
	for _, sign := range []error{unix.EIO, unix.EROFS, unix.ESHUTDOWN, unix.EBADMSG, structureDamaged} {
		if strings.Contains(text, sign.Error()) {
			return true
		}
	}
	return strings.Contains(text, "damaged") // its memory map has faulted
}
