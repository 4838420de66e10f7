package commands

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"terrine/store/fault"
	"terrine/tests/need"
)

// TestMain is terrine's main function where this package starts it again.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == builderWord {
		err := fmt.Errorf("unknown word %q", os.Args[2])
		switch os.Args[2] {
		case enterWord:
			err = Enter(context.Background(), os.NewFile(3, "in"), os.NewFile(4, "out"))
		case execWord:
			err = Exec(os.Args[3:])
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if dir := os.Getenv(asNobody); dir != "" {
		// A user without rights does the tests of its own.
		if err := os.Setenv("TMPDIR", dir); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// asNobody names the variable that tells the test that it runs as nobody.
const asNobody = "TERRINE_TEST_NOBODY"

// bench is a tree with a busybox in /bin, and what a script says and notes.
type bench struct {
	t      *testing.T
	o      Options
	owners Owners
	said   bytes.Buffer
}

func newBench(t *testing.T) *bench {
	t.Helper()
	busybox := need.Program(t, "busybox")
	need.Umask(t)
	b := &bench{t: t}
	top := t.TempDir()
	b.o = Options{Tree: filepath.Join(top, "tree"), Scratch: filepath.Join(top, "scratch"), Output: &b.said}
	for _, dir := range []string{b.o.Scratch, b.o.Tree} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program, err := os.ReadFile(busybox)
	if err != nil {
		t.Fatal(err)
	}
	b.o.Shell = filepath.Join(b.o.Scratch, "sh")
	if err := os.WriteFile(b.o.Shell, program, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, applet := range []string{"chown", "mkdir", "ln", "id", "ls", "rm", "touch", "cat", "chmod", "stat", "chgrp", "sleep"} {
		if err := os.Symlink("sh", filepath.Join(b.o.Scratch, applet)); err != nil {
			t.Fatal(err)
		}
	}
	b.o.Path = []string{b.o.Scratch}
	return b
}

func (b *bench) run(s Script) {
	b.t.Helper()
	s.Name = "script"
	if err := Run(b.t.Context(), []Script{s}, b.o, &b.owners); err != nil {
		b.t.Fatalf("%v (hint: %s)\n%s", err, fault.HintOf(err), b.said.String())
	}
}

func (b *bench) wantOwner(name string, uid, gid int) {
	b.t.Helper()
	u, g, err := b.owners.Of(filepath.Join(b.o.Tree, name))
	if err != nil || u != uid || g != gid {
		b.t.Errorf("%s belongs to %d:%d (%v), want %d:%d", name, u, g, err, uid, gid)
	}
}

// TestScriptsDoNotInheritTheAnswer: by its descriptor they could say in terrine's
// stead who owns what.
func TestScriptsDoNotInheritTheAnswer(t *testing.T) {
	b := newBench(t)
	b.run(Script{Text: "ls /proc/self/fd", Root: true})
	if got := strings.Fields(b.said.String()); slices.Contains(got, "4") || !slices.Contains(got, "1") {
		t.Errorf("descriptors %q", got)
	}
}

func TestRootOwnsWhatItMakes(t *testing.T) {
	b := newBench(t)
	b.run(Script{Text: "mkdir a; touch a/f; id -u", Root: true})
	if b.said.String() != "0\n" {
		t.Errorf("it is user %q", b.said.String())
	}
	b.wantOwner("a", 0, 0)
	b.wantOwner("a/f", 0, 0)
}

func TestChownIsNoted(t *testing.T) {
	b := newBench(t)
	b.run(Script{Root: true, Text: `
mkdir -p a/b; touch a/b/f a/g h; ln -s h link; ln -s nowhere dangling
chown -R 1000:100 a
chown 7 a/g
chown -h 8:9 link dangling
chown 10:11 ./a/../h
cd a; chown 12:13 b/f
touch reused; chown 99:99 reused; rm reused; touch fresh
touch self dev; chown 14:15 /proc/self/fd/3 3<self; chown 16:17 /dev/fd/3 3<dev
`})
	b.wantOwner("a", 1000, 100)
	b.wantOwner("a/b", 1000, 100)
	b.wantOwner("a/g", 7, 100)
	b.wantOwner("link", 8, 9)
	b.wantOwner("dangling", 8, 9)
	b.wantOwner("h", 10, 11)
	b.wantOwner("a/b/f", 12, 13)
	b.wantOwner("a/fresh", 0, 0)
	b.wantOwner("a/self", 14, 15)
	b.wantOwner("a/dev", 16, 17)
}

// Who looks sees the owners that were noted, by this script, by one before it, or
// by the caller.
func TestChownIsSeen(t *testing.T) {
	b := newBench(t)
	if err := os.WriteFile(filepath.Join(b.o.Tree, "given"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.owners.Set(filepath.Join(b.o.Tree, "given"), 3, 4); err != nil {
		t.Fatal(err)
	}
	b.run(Script{Root: true, Text: "touch f; ln -s f l; chown 5:6 f; stat -c %u:%g f; stat -c %u:%g l; stat -L -c %u:%g l; stat -c %u:%g given"})
	b.run(Script{Root: true, Text: "stat -c %u:%g f; chgrp 9 f; stat -c %u:%g:%a f"})
	if want := "5:6\n0:0\n5:6\n3:4\n5:6\n5:9:644\n"; b.said.String() != want {
		t.Errorf("they see %q, want %q", b.said.String(), want)
	}
}

func TestChownOfNothingFails(t *testing.T) {
	b := newBench(t)
	err := Run(t.Context(), []Script{{Name: "fakeRootCommands", Text: "chown 1 missing", Root: true}}, b.o, &b.owners)
	if fault.CodeOf(err) != fault.Build || !strings.Contains(err.Error(), "run fakeRootCommands: exit status 1") {
		t.Errorf("error %v", err)
	}
	if !strings.Contains(b.said.String(), "No such file") {
		t.Errorf("it says %q", b.said.String())
	}
}

func TestScriptsStopAtTheFirstFailure(t *testing.T) {
	for _, asRoot := range []bool{false, true} {
		b := newBench(t)
		err := Run(t.Context(), []Script{{Name: "a", Text: "touch first\nfalse\ntouch second", Root: asRoot}, {Name: "b", Text: "touch third"}}, b.o, &b.owners)
		if fault.CodeOf(err) != fault.Build {
			t.Errorf("error %v", err)
		}
		entries, _ := os.ReadDir(b.o.Tree)
		if len(entries) != 1 || entries[0].Name() != "first" {
			t.Errorf("as root %v: the tree has %v", asRoot, entries)
		}
	}
}

func TestChroot(t *testing.T) {
	b := newBench(t)
	b.o.ReadOnly = []string{"/lib", "/lib64", "/usr"} // this test may be linked dynamically
	b.run(Script{Chroot: true, Text: `
mkdir -p /bin /etc; ln -s /etc /bin/there
touch /etc/f; chown 5:6 /bin/there/f
cd /etc; touch g; chown 7:8 ../bin/there/g
ls /dev/null; cat /proc/self/comm; ls -d /scratch 2>/dev/null || true`})
	if want := "/dev/null\ncat\n"; b.said.String() != want {
		t.Errorf("it says %q, want %q", b.said.String(), want)
	}
	b.wantOwner("etc/f", 5, 6)
	b.wantOwner("etc/g", 7, 8)
	entries, _ := os.ReadDir(b.o.Tree)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got := strings.Join(names, " "); got != "bin etc" {
		t.Errorf("the tree has %s: mount points must go", got)
	}
	if _, err := os.Stat("/etc/f"); err == nil {
		t.Error("it has written to the machine")
	}
}

func TestMountPointThatIsALink(t *testing.T) {
	b := newBench(t)
	if err := os.Symlink("/tmp", filepath.Join(b.o.Tree, "proc")); err != nil {
		t.Fatal(err)
	}
	err := Run(t.Context(), []Script{{Name: "x", Text: "true", Chroot: true}}, b.o, &b.owners)
	if fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), "/proc") {
		t.Errorf("error %v", err)
	}
}

// TestCancelledScript: neither a script nor a program that it waits for holds up
// who has cancelled it, though both have its output open.
func TestCancelledScript(t *testing.T) {
	for _, s := range []Script{
		{Name: "busy", Text: "echo started; while :; do :; done"},
		{Name: "asleep", Text: "echo started; sleep 1000"},
		{Name: "busy root", Text: "echo started; while :; do :; done", Root: true},
		{Name: "root asleep", Text: "echo started; sleep 1000", Root: true},
	} {
		t.Run(s.Name, func(t *testing.T) {
			b := newBench(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			stop := errors.New("enough")
			b.o.Output = writerFunc(func(p []byte) (int, error) { cancel(stop); return len(p), nil })
			if err := Run(ctx, []Script{s}, b.o, &b.owners); !errors.Is(err, stop) {
				t.Errorf("error %v, want the cause of the context", err)
			}
			if err := Run(ctx, []Script{s}, b.o, &b.owners); !errors.Is(err, stop) {
				t.Errorf("cancelled before it began: error %v, want the cause of the context", err)
			}
		})
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// Where namespaces are forbidden, the error says so, and what to do.
func TestWithoutUserNamespaces(t *testing.T) {
	if os.Getenv(forbidden) != "" {
		b := newBench(t)
		err := Run(t.Context(), []Script{{Name: "fakeRootCommands", Text: "true", Root: true}}, b.o, &b.owners)
		if fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), "run fakeRootCommands: no namespace to be root in: ") ||
			!strings.Contains(fault.HintOf(err), "declare modes and owners with the arguments perms and files instead") {
			t.Errorf("error %v (hint: %s)", err, fault.HintOf(err))
		}
		return
	}
	need.Root(t)
	dir, test := publicCopy(t)
	// A namespace has a limit of its own for those below it.
	const script = `echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --reuid=65534 --regid=65534 --clear-groups "$0" -test.v -test.run '^TestWithoutUserNamespaces$'`
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", script, test)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), asNobody+"="+dir, forbidden+"=1")
	cmd.SysProcAttr = ownNamespace()
	said, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(said), "--- PASS") {
		t.Errorf("%v\n%s", err, said)
	}
}

// forbidden names the variable that tells a test that it cannot make namespaces.
const forbidden = "TERRINE_TEST_NO_NAMESPACES"

// publicCopy returns a directory that everybody may use, and a copy of this
// program in it.
func publicCopy(t *testing.T) (dir, test string) {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "terrine-nobody-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	test = filepath.Join(dir, "commands.test")
	if err := os.WriteFile(test, program, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir, test
}

// TestAsNobody runs the tests of this file again as a user without any rights,
// as the builders of a Nix daemon are.
func TestAsNobody(t *testing.T) {
	need.Root(t)
	dir, test := publicCopy(t)
	cmd := exec.CommandContext(t.Context(), test, "-test.v", "-test.run", "^Test(Root|Chown|Scripts|Chroot|Mount)")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), asNobody+"="+dir)
	cmd.SysProcAttr = nobody()
	said, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(said), "--- PASS") < 6 {
		t.Errorf("%v\n%s", err, said)
	}
}
