package crash

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"terrine/store"
)

// TestShortReadsAndWrites (F15) has the kernel read and write less than it was
// asked to, as it may, in half of the calls for files: nothing else is different.
// Strace cannot do that: what it changes is the result, not the work.
func TestShortReadsAndWrites(t *testing.T) {
	l := lab(t)
	cut := 0
	for _, sc := range l.scenarios() {
		dir := newRun(t, l)
		out, n := l.cutShort(t, dir, sc.args(l, dir)...)
		cut += n
		var p problems
		valid := p.check(t.Context(), filepath.Join(dir, "store"), nil)
		if err := sc.result(l, dir, valid); err != nil {
			p.add("%v", err)
		}
		if sc.acks {
			if err := want(valid, pathsIn(l.kept.Dir(), out)...); err != nil {
				p.add("%v", err)
			}
		}
		p.clean(t.Context(), filepath.Join(dir, "store"))
		for _, problem := range p {
			t.Errorf("%s: %s", sc.name, problem)
		}
	}
	dir := newRun(t, l)
	l.cutShort(t, dir, "store", "verify")
	l.must(t, dir, 0, "store", "import", l.stream)
	list := text(pathsIn(store.DefaultDir, []byte(l.must(t, dir, 0, "store", "ls"))))
	export := append([]string{"store", "export"}, list...)
	got, n := l.cutShort(t, dir, export...)
	if want := l.must(t, dir, 0, export...); string(got) != want {
		t.Errorf("the export has %d bytes that are not the %d it should be", len(got), len(want))
	}
	if cut += n; cut < 100 {
		t.Errorf("there were only %d short reads and writes", cut)
	}
}

// cutShort runs terrine with short reads and writes; it must succeed. It returns
// what the command has printed, and how many calls were short.
func (l *Lab) cutShort(t *testing.T, dir string, args ...string) (out []byte, cut int) {
	t.Helper()
	cmd := l.Command(t.Context(), dir, args...)
	stdout, stderr := filepath.Join(dir, "stdout"), filepath.Join(dir, "stderr")
	seed := uint64(time.Now().UnixNano())
	type result struct {
		cut    int
		status syscall.WaitStatus
		err    error
	}
	done := make(chan result)
	go func() { // one thread must do all the tracing; it ends with the goroutine
		runtime.LockOSThread()
		tr := &tracer{dir: l.Dir, r: rand.New(rand.NewPCG(seed, 4)), inside: make(map[int]*syscall.PtraceRegs), known: make(map[int]bool)}
		status, err := tr.run(cmd, stdout, stderr)
		done <- result{tr.cut, status, err}
	}()
	r := <-done
	if r.err != nil {
		t.Fatalf("trace %q: %v", args, r.err)
	}
	said, err := os.ReadFile(stderr)
	if err == nil {
		out, err = os.ReadFile(stdout)
	}
	if err != nil {
		t.Fatal(err)
	}
	if r.status.ExitStatus() != 0 {
		t.Errorf("seed %d: %q with %d short reads and writes: exit code %d\n%s", seed, args, r.cut, r.status.ExitStatus(), said)
	}
	t.Logf("%q: %d short reads and writes", args[:min(2, len(args))], r.cut)
	return out, r.cut
}

// tracer changes system calls of a process and of all its threads.
type tracer struct {
	dir    string // with the files that are read and written short
	r      *rand.Rand
	leader int
	inside map[int]*syscall.PtraceRegs // threads in a system call, and what they called; nil if that is let be
	known  map[int]bool                // threads that have stopped for the first time
	cut    int
}

const waitAll = syscall.WALL | unix.WNOTHREAD

func (tr *tracer) run(cmd *exec.Cmd, stdout, stderr string) (status syscall.WaitStatus, err error) {
	files := make([]uintptr, 3)
	for i, name := range []string{os.DevNull, stdout, stderr} {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return 0, err
		}
		defer f.Close()
		files[i] = f.Fd()
	}
	attr := &syscall.ProcAttr{Dir: cmd.Dir, Env: cmd.Env, Files: files, Sys: &syscall.SysProcAttr{Ptrace: true}}
	if tr.leader, err = syscall.ForkExec(cmd.Path, cmd.Args, attr); err != nil {
		return 0, err
	}
	if _, err := syscall.Wait4(tr.leader, &status, waitAll, nil); err != nil {
		return 0, err
	}
	tr.known[tr.leader] = true
	options := syscall.PTRACE_O_TRACESYSGOOD | syscall.PTRACE_O_TRACECLONE | unix.PTRACE_O_EXITKILL
	if err := errors.Join(syscall.PtraceSetOptions(tr.leader, options), syscall.PtraceSyscall(tr.leader, 0)); err != nil {
		return 0, err
	}
	for {
		var now syscall.WaitStatus
		tid, err := syscall.Wait4(-1, &now, waitAll, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return 0, err
		}
		if now.Exited() || now.Signaled() {
			if tid == tr.leader {
				return now, nil
			}
			continue
		}
		if err := tr.stopped(tid, now); err != nil && !errors.Is(err, syscall.ESRCH) { // it may end at any time
			return 0, err
		}
	}
}

// stopped has a thread go on that has stopped.
func (tr *tracer) stopped(tid int, now syscall.WaitStatus) error {
	signal := int(now.StopSignal())
	switch {
	case now.StopSignal() == syscall.SIGTRAP|0x80:
		signal = 0
		if err := tr.call(tid); err != nil {
			return err
		}
	case now.TrapCause() > 0: // a thread has begun
		signal = 0
	case now.StopSignal() == syscall.SIGSTOP && !tr.known[tid]: // it is that thread
		signal = 0
	}
	tr.known[tid] = true
	return syscall.PtraceSyscall(tid, signal)
}

// call is at the beginning or the end of a system call.
func (tr *tracer) call(tid int) error {
	before, inside := tr.inside[tid]
	if !inside {
		tr.inside[tid] = nil
		var regs syscall.PtraceRegs
		if err := syscall.PtraceGetRegs(tid, &regs); err != nil {
			return err
		}
		switch regs.Orig_rax {
		case unix.SYS_READ, unix.SYS_WRITE, unix.SYS_PREAD64, unix.SYS_PWRITE64:
		default:
			return nil
		}
		if regs.Rdx < 2 || tr.r.IntN(2) == 0 || !ours(tr.dir, tid, int(regs.Rdi)) {
			return nil
		}
		old := regs
		tr.inside[tid] = &old
		tr.cut++
		regs.Rdx = 1 + tr.r.Uint64N(regs.Rdx-1)
		return syscall.PtraceSetRegs(tid, &regs)
	}
	delete(tr.inside, tid)
	if before == nil {
		return nil
	}
	var regs syscall.PtraceRegs
	if err := syscall.PtraceGetRegs(tid, &regs); err != nil {
		return err
	}
	regs.Rdx = before.Rdx
	return syscall.PtraceSetRegs(tid, &regs)
}

// ours reports whether a descriptor is one of a file below dir. By others, such as
// libraries, and the one by which the Go runtime wakes itself, less than all is
// an error.
func ours(dir string, tid, fd int) bool {
	name, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", tid, fd))
	return err == nil && strings.HasPrefix(name, dir+"/")
}
