package commands

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"terrine/tests/need"
)

// interruptedVar says that the test is the process whose calls are interrupted.
const interruptedVar = "TERRINE_TEST_INTERRUPTED"

// interrupted runs the test that calls it again, with what fails of its system calls,
// as strace has it. It reports whether it did so.
func interrupted(t *testing.T, faults ...string) bool {
	t.Helper()
	if os.Getenv(interruptedVar) != "" {
		return false
	}
	strace := need.Program(t, "strace")
	program, err := os.Readlink(self) // which is another to strace
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-f", "-qq", "-o", "/dev/null"}
	for _, f := range faults {
		args = append(args, "-e", "inject="+f)
	}
	args = append(args, program, "-test.v", "-test.run", "^"+t.Name()+"$")
	cmd := exec.CommandContext(t.Context(), strace, args...)
	cmd.Env = append(os.Environ(), interruptedVar+"=1")
	said, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(said), "--- PASS") {
		t.Errorf("%v\n%s", err, said)
	}
	return true
}

// TestInterruptedPreparation (F15) interrupts what makes a root directory ready, and the
// start of the shell in it.
func TestInterruptedPreparation(t *testing.T) {
	if interrupted(t, "mount:error=EINTR:when=1+3", "mount_setattr:error=ENOSYS", "statfs:error=EINTR:when=1+3",
		"chroot:error=EINTR:when=1+3", "chdir:error=EINTR:when=1+3", "execve:error=EINTR:when=2") {
		return
	}
	b := newBench(t)
	b.o.ReadOnly = []string{"/lib", "/lib64", "/usr"} // this test may be linked dynamically
	b.run(Script{Text: "touch f; chown 5:6 f; stat -c %u:%g f", Chroot: true})
	b.wantOwner("f", 5, 6)
	if b.said.String() != "5:6\n" {
		t.Errorf("it says %q", b.said.String())
	}
}

// TestInterruptedAnswer (F15) interrupts what is done in the stead of a process that asks
// for the owner of a file: nobody expects that of a stat.
func TestInterruptedAnswer(t *testing.T) {
	if interrupted(t, "openat,statx,newfstatat:error=EINTR:when=1+3") {
		return
	}
	if len(calls()) == 0 {
		need.Lacking(t, "the calls of this machine are not known")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "f")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	id, _, err := identify(file)
	if err != nil {
		t.Fatal(err)
	}
	var owners Owners
	owners.set(id, owner{5, 6})
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	name, stat, statx := []byte("f\x00"), &unix.Stat_t{}, &unix.Statx_t{}
	var pins runtime.Pinner
	defer pins.Unpin()
	at := func(p unsafe.Pointer) uint64 {
		pins.Pin(p)
		return uint64(uintptr(p))
	}
	n := notification{pid: uint32(os.Getpid())}
	n.data.args = [6]uint64{uint64(d.Fd()), at(unsafe.Pointer(&name[0]))}
	ask := func(c call, args ...uint64) {
		t.Helper()
		for number, known := range calls() {
			if known == c {
				n.data.nr = int32(number)
			}
		}
		copy(n.data.args[2:], args)
		if pass, err := n.answer(func() bool { return true }, &owners); pass || err != nil {
			t.Errorf("passed on %v, error %v", pass, err)
		}
	}
	for range 3 { // so that each call is met
		*stat, *statx = unix.Stat_t{}, unix.Statx_t{}
		ask(newfstatatCall, at(unsafe.Pointer(stat)), 0)
		if stat.Uid != 5 || stat.Gid != 6 {
			t.Errorf("stat: owner %d:%d, want 5:6", stat.Uid, stat.Gid)
		}
		ask(statxCall, 0, unix.STATX_BASIC_STATS, at(unsafe.Pointer(statx)))
		if statx.Uid != 5 || statx.Gid != 6 {
			t.Errorf("statx: owner %d:%d, want 5:6", statx.Uid, statx.Gid)
		}
	}
}
