//go:build linux

package crash

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestUnsuitableFileSystems: where all files are executable, or none, or there are
// no symlinks, a store takes nothing in and nothing is unpacked: an error (11)
// says why and names the directory. Collecting goes on. The file systems are ext4
// whose system calls do what those of ntfs, exFAT and vfat do.
func TestUnsuitableFileSystems(t *testing.T) {
	l := lab(t, "strace")
	for _, test := range []struct{ name, umask, call, result, want string }{
		{"none is executable", "111", "fchmod", "retval=0", "which files are executable"},
		{"modes are refused", "022", "fchmod", "error=EPERM", "which files are executable"},
		{"no symlinks", "022", "symlinkat", "error=ENOSYS", "symlinks"},
		{"symlinks are refused", "022", "symlinkat", "error=EPERM", "symlinks"},
	} {
		for _, args := range [][]string{{"store", "add", l.tree}, {"store", "import", l.stream}, {"store", "add", "--unpack", l.tarball}} {
			t.Run(test.name+", "+args[1], func(t *testing.T) {
				dir := newRun(t, l)
				before := l.must(t, dir, 0, "store", "ls")
				cmd := under(l.Command(t.Context(), dir, args...), "-o", "/dev/null", "-e", "trace="+test.call,
					"-e", "inject="+test.call+":"+test.result)
				cmd.Args = append([]string{"sh", "-c", `umask "$0" && exec "$@"`, test.umask}, cmd.Args...)
				cmd.Path = "/bin/sh"
				out, _ := cmd.CombinedOutput()
				place := filepath.Join(dir, "store/nix/store")
				if args[2] == "--unpack" {
					place = filepath.Join(dir, "tmp")
				}
				said := string(out)
				if code := cmd.ProcessState.ExitCode(); code != 11 || !strings.Contains(said, "the file system of "+place+" does not keep "+test.want) ||
					!strings.Contains(said, "hint:") {
					t.Errorf("exit code %d, want 11 and why %s is unfit:\n%s", code, place, said)
				}
				if after := l.must(t, dir, 0, "store", "ls"); after != before {
					t.Errorf("the store has now:\n%sand had:\n%s", after, before)
				}
				if left := l.temporary(dir); len(left) > 0 {
					t.Errorf("left: %q", left)
				}
			})
		}
	}
}

// TestRootThatCannotBeRead: when the disk fails, the hint is not to remove the root.
func TestRootThatCannotBeRead(t *testing.T) {
	l := lab(t, "strace")
	dir := newRun(t, l)
	added := strings.TrimSpace(l.must(t, dir, 0, "store", "add", l.tree))
	l.must(t, dir, 0, "store", "roots", "add", "keep", added)
	root := filepath.Join(dir, "store/nix/var/terrine/roots/keep")
	for _, args := range [][]string{{"store", "roots", "ls"}, {"store", "gc"}} {
		cmd := under(l.Command(t.Context(), dir, args...), "-o", "/dev/null", "-P", root, "-e", "trace=readlinkat",
			"-e", "inject=readlinkat:error=EIO")
		out, _ := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != 11 || !strings.Contains(string(out), "root keep: ") || strings.Contains(string(out), "roots rm") {
			t.Errorf("%q: exit code %d, want 11 and the root that cannot be read:\n%s", args, code, out)
		}
	}
}

// TestLinksTooLongForAFileSystem: xfs keeps symlinks of 1,023 bytes. What it does
// not keep is an error (11) that says so, and not one without a class.
func TestLinksTooLongForAFileSystem(t *testing.T) {
	l, d := lab(t), disk(t, "xfs")
	if err := errors.Join(os.Rename(d.clean, d.image), d.up(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.down(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	dir := newRun(t, l)
	link := filepath.Join(dir, "link")
	if err := os.Symlink(strings.Repeat("x", 1024), link); err != nil {
		t.Fatal(err)
	}
	cmd := l.Command(t.Context(), dir, "store", "add", link, "--store", d.root())
	out, _ := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 11 || !strings.Contains(string(out), "hint: this file system cannot keep") {
		t.Errorf("exit code %d, want 11 and a hint:\n%s", code, out)
	}
}
