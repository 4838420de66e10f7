//go:build linux

package crash

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"terrine/store"
)

// An injection makes a system call fail: in each thread the first, the second, …,
// and then more of them.
type injection struct {
	fault string
	calls string // comma-separated
	errno string
	first int    // up to this one
	then  string // which fail after the first: none, "+" for all, "+3" for every third
	fine  bool   // the command must succeed nevertheless
}

// injections are F9, F13, F14 and F15. Writes of pipes, by which the Go
// runtime wakes itself, are let be: they cannot fail so. Which thread makes a call
// is a matter of chance, but of those that are interrupted and made again every
// third one meets them all.
var injections = []injection{
	{"F9", "pwrite64,mkdirat,renameat,renameat2,linkat,symlinkat,ftruncate,fsync,fdatasync,syncfs", "ENOSPC", 6, "+", false},
	{"F13", "pread64,getdents64", "EIO", 6, "", false},
	{"F14", "fsync,fdatasync,syncfs", "EIO", 6, "", false},
	{"F15", "pread64,openat,flock,syncfs,fsync,fdatasync,fallocate,ftruncate,mkdirat,symlinkat,unlinkat,readlinkat,fchmod,fchmodat,renameat,renameat2,linkat,utimensat,getdents64,fstat,newfstatat", "EINTR", 3, "+3", true},
}

// TestFailingSystemCalls has each call that may fail do so: the exit code is
// 11, nothing is lost or left, and the same command then succeeds.
func TestFailingSystemCalls(t *testing.T) {
	l := lab(t, "strace")
	type job struct {
		injection
		sc   scenario
		call string
		n    int
	}
	var jobs []job
	for i, sc := range append(l.scenarios(), l.repair(t)) {
		most, err := l.trace(t.Context(), sc, Syscalls+",pread64,readlinkat")
		if err != nil {
			t.Fatal(err)
		}
		for _, inj := range injections {
			if i >= 6 && !inj.fine {
				continue
			}
			for call := range strings.SplitSeq(inj.calls, ",") {
				for n := 1; n <= min(most[call], inj.first); n++ {
					jobs = append(jobs, job{inj, sc, call, n})
				}
			}
		}
	}
	todo := make(chan job)
	var mu sync.Mutex
	failed := make(map[string]int)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for j := range todo {
				broken, err := l.inject(t, j.sc, j.injection, j.call, j.n)
				if err != nil {
					t.Errorf("%s: %s: %s %d fails with %s: %v", j.fault, j.sc.name, j.call, j.n, j.errno, err)
				}
				if broken {
					mu.Lock()
					failed[j.fault]++
					mu.Unlock()
				}
			}
		})
	}
	for _, j := range jobs {
		todo <- j
	}
	close(todo)
	wg.Wait()
	t.Logf("%d calls; commands that failed: %v", len(jobs), failed)
	for _, fault := range []string{"F9", "F13", "F14"} {
		if failed[fault] < 5 {
			t.Errorf("%s: only %d commands failed", fault, failed[fault])
		}
	}
}

// TestLackingCalls: a file system without locks and a sandbox without syncfs are
// named as what they are.
func TestLackingCalls(t *testing.T) {
	l := lab(t, "strace")
	for _, test := range []struct {
		inject, hint string
		args         []string
	}{
		{"flock:error=ENOLCK", "store/nix/var/terrine keeps no locks", []string{"store", "add", l.tree}},
		{"flock:error=ENOLCK", "set TMPDIR to", []string{"store", "add", "--unpack", l.tarball}},
		{"syncfs:error=ENOSYS", "has no syncfs(2)", []string{"store", "add", l.tree}},
	} {
		dir := newRun(t, l)
		call, _, _ := strings.Cut(test.inject, ":")
		cmd := under(l.Command(t.Context(), dir, test.args...), "-o", "/dev/null", "-e", "trace="+call, "-e", "inject="+test.inject)
		out, err := cmd.CombinedOutput()
		_, hint, _ := strings.Cut(string(out), "\nhint: ")
		if code := cmd.ProcessState.ExitCode(); code != 11 || !strings.Contains(hint, test.hint) || strings.Contains(string(out), "terrine-unpack-") {
			t.Errorf("%q, %s: exit code %d (%v), %q; want 11 and a hint that says %q", test.args, test.inject, code, err, out, test.hint)
		}
	}
}

// repair is a scenario that puts a sound object in the place of a damaged one.
func (l *Lab) repair(t *testing.T) scenario {
	return scenario{"repair", func(l *Lab, dir string) []string {
		file := filepath.Join(dir, "store/nix/store", l.kept.Base(), "f")
		if err := errors.Join(os.Chmod(file, 0o644), os.WriteFile(file, nil, 0o644)); err != nil {
			t.Error(err)
		}
		return []string{"store", "verify", "--repair", "--from", l.base}
	}, false, func(l *Lab, _ string, valid []store.Path) error {
		return want(valid, append([]store.Path{l.kept}, l.dead...)...)
	}}
}

// inject runs a command with a call that fails, and again without.
func (l *Lab) inject(t *testing.T, sc scenario, inj injection, call string, n int) (broken bool, err error) {
	dir, err := l.fresh()
	if err != nil {
		return false, err
	}
	defer remove(dir)
	cmd := under(l.Command(t.Context(), dir, sc.args(l, dir)...), "-o", "/dev/null",
		"-e", "trace="+call, "-e", fmt.Sprintf("inject=%s:error=%s:when=%d%s", call, inj.errno, n, inj.then))
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	broken = cmd.Run() != nil
	code := cmd.ProcessState.ExitCode()
	switch {
	case broken && inj.fine:
		return true, fmt.Errorf("exit code %d\n%s", code, said.Bytes())
	case broken && code != 11, strings.Contains(said.String(), "goroutine "):
		return true, fmt.Errorf("exit code %d: want 11\n%s", code, said.Bytes())
	}
	if broken && inj.fault == "F13" && !strings.Contains(said.String(), "terrine store verify") {
		return true, fmt.Errorf("no hint to verify:\n%s", said.Bytes())
	}
	// Who cannot list a directory cannot remove it; the next one does. (Another thread
	// may have its n-th call when it comes to that.)
	unlisted := call == "getdents64"
	if left := l.temporary(dir); broken && inj.then == "" && !unlisted && len(left) > 0 {
		return true, fmt.Errorf("left: %q", left)
	}
	acknowledged := []byte(nil)
	if sc.acks {
		acknowledged = out.Bytes()
	}
	if wrong := l.aftermath(t.Context(), sc, dir, acknowledged); len(wrong) > 0 {
		return broken, fmt.Errorf("exit code %d: %s\n%s", code, strings.Join(wrong, "; "), said.Bytes())
	}
	return broken, nil
}

// temporary returns what has temporary names in the store and beside the image,
// but for what lay in the base store already.
func (l *Lab) temporary(dir string) []string {
	var left []string
	for _, pattern := range []string{"store/nix/store/.tmp-*", "out/.*", "tmp/*"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return []string{err.Error()}
		}
		left = append(left, found...)
	}
	return slices.DeleteFunc(left, func(name string) bool { return strings.HasSuffix(name, ".tmp-1-0000-1") })
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// TestVanishingObject (F38): an export of a path whose object goes away says
// which it is, with exit code 10.
func TestVanishingObject(t *testing.T) {
	l := lab(t)
	dir := newRun(t, l)
	object := filepath.Join(dir, "store/nix/store", l.kept.Base())
	if err := remove(object); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"store", "export", string(l.kept)}, {"store", "verify"}} {
		cmd := l.Command(t.Context(), dir, args...)
		out, err := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != 10 || !strings.Contains(string(out), store.Path(l.kept).Base()) {
			t.Errorf("%q: exit code %d (%v), %q; want 10 and the path", args, code, err, out)
		}
	}
	image := filepath.Join(dir, "out", "image.tar")
	said := l.must(t, dir, 10, "build", l.spec, "-o", image)
	if !strings.Contains(said, "error: read "+string(l.kept)) || !strings.Contains(said, "hint: terrine store verify") {
		t.Errorf("build of what is gone says %q", said)
	}
	if err := l.output(dir, false); err != nil || exists(image) {
		t.Errorf("there is an output (%v)", err)
	}
	if left := l.temporary(dir); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}
