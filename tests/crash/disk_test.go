//go:build linux

package crash

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"terrine/tests/need"
)

// mount mounts a file system on dir until the test is over.
func mount(t *testing.T, dir string, args ...string) {
	t.Helper()
	need.Programs(t, "mount", "umount")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), "mount", append(args, dir)...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := exec.Command("umount", dir).Run(); err != nil {
			t.Errorf("umount %s: %v", dir, err)
		}
	})
}

// free returns the bytes and inodes that are free on a file system.
func free(t *testing.T, dir string) (bytes, inodes uint64) {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	return st.Bfree * uint64(st.Bsize), st.Ffree
}

// numbered makes a directory of n files of the given size.
func numbered(t *testing.T, dir string, n, size int) string {
	t.Helper()
	files := make(map[string]string, n)
	for i := range n {
		files[fmt.Sprintf("d%d/f%d", i%7, i)] = strings.Repeat(string(rune('a'+i%26)), size)
	}
	if err := writeTree(dir, files); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestFullDisk (F9, F11): what does not fit is refused whole, with what it needs
// and what there is; the space comes back, and what was there stays.
func TestFullDisk(t *testing.T) {
	l := lab(t)
	ext4 := filepath.Join(t.TempDir(), "ext4")
	need.Programs(t, "mkfs.ext4")
	if err := run(t.Context(), "mkfs.ext4", "-qF", ext4, "8M"); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		mount []string
		files int
		size  int
	}{
		{"tmpfs without space", []string{"-t", "tmpfs", "-o", "size=2M", "none"}, 40, 100_000},
		{"tmpfs without inodes", []string{"-t", "tmpfs", "-o", "nr_inodes=120", "none"}, 200, 10},
		{"ext4 without space", []string{"-o", "loop", ext4}, 90, 100_000},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			mount(t, filepath.Join(dir, "store"), test.mount...)
			first := strings.TrimSpace(l.must(t, dir, 0, "store", "add", l.tree))
			bytes, inodes := free(t, filepath.Join(dir, "store"))
			big := numbered(t, filepath.Join(dir, "big"), test.files, test.size)
			for range 2 {
				said := l.must(t, dir, 11, "store", "add", big)
				needed, space, inodes := parseFull(t, said)
				if least := test.files * test.size; needed < least || needed > least+test.files*400+5000 {
					t.Errorf("it says that %d bytes are needed, of %d files of %d: %q", needed, test.files, test.size, said)
				}
				if space > needed && inodes > test.files {
					t.Errorf("it says that %d bytes and %d inodes are free, which would do: %q", space, inodes, said)
				}
				if nowBytes, nowInodes := free(t, filepath.Join(dir, "store")); space > int(nowBytes)+64<<10 || inodes > int(nowInodes)+8 {
					t.Errorf("it says that %d bytes and %d inodes are free, and there are %d and %d", space, inodes, nowBytes, nowInodes)
				}
			}
			nowBytes, nowInodes := free(t, filepath.Join(dir, "store"))
			if nowBytes+256<<10 < bytes || nowInodes+8 < inodes {
				t.Errorf("free: %d bytes and %d inodes; before, %d and %d", nowBytes, nowInodes, bytes, inodes)
			}
			if list := l.must(t, dir, 0, "store", "ls"); strings.TrimSpace(list) != first {
				t.Errorf("ls prints %q; want %s", list, first)
			}
			l.must(t, dir, 0, "store", "verify")
			l.must(t, dir, 0, "store", "gc")
		})
	}
}

var fullText = regexp.MustCompile(`no space left on device: it needs (?:more than )?(\d+) bytes, and the file system of /\S+ has (\d+) bytes and (\d+) inodes free`)

// parseFull returns what a message for want of space says that is needed, and
// what it says that is free.
func parseFull(t *testing.T, said string) (needed, space, inodes int) {
	t.Helper()
	found := fullText.FindStringSubmatch(said)
	if found == nil || !strings.Contains(said, "hint: ") || strings.Count(said, "free") < 2 {
		t.Fatalf("it says %q", said)
	}
	for i, n := range []*int{&needed, &space, &inodes} {
		var err error
		if *n, err = strconv.Atoi(found[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	return needed, space, inodes
}

// TestFullImport (F9): a stream does not say how long it is; how much there was
// of it is said.
func TestFullImport(t *testing.T) {
	l := lab(t)
	dir := newRun(t, l)
	l.must(t, dir, 0, "store", "add", numbered(t, filepath.Join(dir, "big"), 40, 100_000))
	list := l.must(t, dir, 0, "store", "ls")
	big := regexp.MustCompile(`/nix/store/\S+-big\n`).FindString(list)
	stream := l.must(t, dir, 0, "store", "export", strings.TrimSpace(big))
	file := filepath.Join(dir, "big.export")
	if err := os.WriteFile(file, []byte(stream), 0o644); err != nil {
		t.Fatal(err)
	}
	small := t.TempDir()
	mount(t, filepath.Join(small, "store"), "-t", "tmpfs", "-o", "size=2M", "none")
	needed, space, _ := parseFull(t, l.must(t, small, 11, "store", "import", file))
	if needed < space/2 || needed > len(stream) {
		t.Errorf("it says that more than %d bytes are needed, with %d free and %d in the stream", needed, space, len(stream))
	}
	wholeStore(t, filepath.Join(small, "store"))
}

// TestFullIndex (F10): the index alone is on a disk that is full.
func TestFullIndex(t *testing.T) {
	l := lab(t)
	dir := t.TempDir()
	mount(t, filepath.Join(dir, "store/nix/var/terrine"), "-t", "tmpfs", "-o", "size=320k", "none")
	var added []string
	for i := range 200 {
		file := filepath.Join(dir, fmt.Sprintf("file%d", i))
		if err := os.WriteFile(file, []byte(file), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := l.Command(t.Context(), dir, "store", "add", file)
		out, err := cmd.Output()
		if err != nil {
			said := ""
			if exit, ok := errors.AsType[*exec.ExitError](err); ok {
				said = string(exit.Stderr)
			}
			if code := cmd.ProcessState.ExitCode(); code != 11 || !strings.Contains(said, "no space left") {
				t.Errorf("add of file %d: exit code %d, %q; want 11", i, code, said)
			}
			break
		}
		added = append(added, string(out))
	}
	if len(added) == 0 || len(added) == 200 {
		t.Fatalf("%d files fit; want some", len(added))
	}
	slices.Sort(added)
	if list := l.must(t, dir, 0, "store", "ls"); list != strings.Join(added, "") {
		t.Errorf("ls prints %q; want %q", list, added)
	}
	l.must(t, dir, 0, "store", "verify")
}

// TestFullOutput (F12): the image does not fit where it is to go.
func TestFullOutput(t *testing.T) {
	l := lab(t)
	dir := newRun(t, l)
	mount(t, filepath.Join(dir, "small"), "-t", "tmpfs", "-o", "size=4k", "none")
	said := l.must(t, dir, 11, "build", l.spec, "-o", filepath.Join(dir, "small", "image.tar"))
	if !strings.Contains(said, filepath.Join(dir, "small")) || !strings.Contains(said, "no space left") {
		t.Errorf("it says %q; want the directory named", said)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "small")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestFullCache (F12): a binary cache does not fit where it is to go. What is
// left of it is whole, and the same command goes on where there is space again.
func TestFullCache(t *testing.T) {
	l := lab(t)
	dir := newRun(t, l)
	small := filepath.Join(dir, "binary")
	mount(t, small, "-t", "tmpfs", "-o", "size=200k", "none")
	added := strings.TrimSpace(l.must(t, dir, 0, "store", "add", numbered(t, filepath.Join(dir, "big"), 40, 100_000)))
	args := []string{"store", "copy", "--compression", "none", "--to", "file://" + small, string(l.kept), added}
	if said := l.must(t, dir, 11, args...); !strings.Contains(said, small) || !strings.Contains(said, "no space left") {
		t.Errorf("it says %q; want the directory named", said)
	}
	if left, err := filepath.Glob(filepath.Join(small, "nar/.*")); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
	if err := run(t.Context(), "mount", "-o", "remount,size=20M", small); err != nil {
		t.Fatal(err)
	}
	l.must(t, dir, 0, args...)
	l.must(t, dir, 0, "store", "copy", "--store", filepath.Join(dir, "other"), "--from", "file://"+small, added)
}

// TestReadOnlyDisk (F18): reading goes on, writing is refused.
func TestReadOnlyDisk(t *testing.T) {
	l := lab(t)
	dir := newRun(t, l)
	root := filepath.Join(dir, "store")
	mount(t, root, "--bind", root)
	if err := run(t.Context(), "mount", "-o", "remount,ro,bind", root); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"store", "ls"}, {"store", "info", string(l.kept)}, {"store", "closure", string(l.kept)}, {"store", "verify"}, {"store", "roots", "ls"},
		{"store", "gc", "--dry-run"}, {"build", l.spec, "-o", filepath.Join(dir, "out", "image.tar.gz")},
	} {
		l.must(t, dir, 0, args...)
	}
	if err := l.output(dir, true); err != nil {
		t.Error(err)
	}
	for _, args := range [][]string{
		{"store", "add", l.tree}, {"store", "import", l.stream}, {"store", "gc"}, {"store", "delete", string(l.dead[0])}, {"store", "optimise"},
		{"store", "roots", "add", "x", string(l.kept)}, {"store", "roots", "rm", "kept"}, {"store", "rebuild"},
	} {
		if said := l.must(t, dir, 11, args...); !strings.Contains(said, "read-only") {
			t.Errorf("%q says %q; want read-only", args, said)
		}
	}
}

// TestFewFiles (F16): with 64 open files at most, all goes as ever.
func TestFewFiles(t *testing.T) {
	l := lab(t)
	dir := newRun(t, l)
	big := numbered(t, filepath.Join(dir, "big"), 500, 100)
	for _, args := range [][]string{
		{"store", "add", big}, {"store", "verify"}, {"build", l.spec, "-o", filepath.Join(dir, "out", "image.tar.gz"), "-j", "16"}, {"store", "gc"},
	} {
		cmd := l.Command(t.Context(), dir, args...)
		limited := exec.CommandContext(t.Context(), "sh", append([]string{"-c", `ulimit -n 64; exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)...)
		limited.Dir, limited.Env = cmd.Dir, cmd.Env
		if out, err := limited.CombinedOutput(); err != nil {
			t.Errorf("%q with 64 files: %v\n%s", args, err, out)
		}
	}
	if err := l.output(dir, true); err != nil {
		t.Error(err)
	}
	wholeStore(t, filepath.Join(dir, "store"), l.kept)
}
