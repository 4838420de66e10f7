//go:build linux

package crash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"terrine/store"
)

// A scenario is a command that is killed.
type scenario struct {
	name   string
	args   func(l *Lab, dir string) []string
	acks   bool // it prints paths that are valid then
	result func(l *Lab, dir string, valid []store.Path) error
}

func (l *Lab) scenarios() []scenario {
	all := func(l *Lab) []store.Path { return append([]store.Path{l.kept}, l.dead...) }
	return []scenario{
		{"add", func(l *Lab, _ string) []string { return []string{"store", "add", l.tree} }, true, func(l *Lab, _ string, valid []store.Path) error {
			return want(valid, append(all(l), l.added)...)
		}},
		{"together", func(l *Lab, _ string) []string { return []string{"store", "add", l.spec, l.tree} }, true, func(l *Lab, _ string, valid []store.Path) error {
			return errors.Join(want(valid, append(all(l), l.added)...), count(valid, 2+len(l.dead)+2))
		}},
		{"unpack", func(l *Lab, _ string) []string { return []string{"store", "add", "--unpack", l.tarball} }, true, func(l *Lab, dir string, valid []store.Path) error {
			left, err := filepath.Glob(filepath.Join(dir, "tmp", "*"))
			if len(left) > 0 {
				err = fmt.Errorf("left: %q", left)
			}
			return errors.Join(err, want(valid, append(all(l), l.added)...))
		}},
		{"import", func(l *Lab, _ string) []string { return []string{"store", "import", l.stream} }, true, func(l *Lab, _ string, valid []store.Path) error {
			return count(valid, 2+len(l.dead)+3)
		}},
		{"gc", func(*Lab, string) []string { return []string{"store", "gc"} }, false, func(l *Lab, _ string, valid []store.Path) error {
			return errors.Join(want(valid, l.kept), count(valid, 2))
		}},
		{"build", func(l *Lab, dir string) []string {
			return []string{"build", l.spec, "-o", filepath.Join(dir, "out", "image.tar.gz")}
		}, false, func(l *Lab, dir string, valid []store.Path) error {
			return errors.Join(want(valid, all(l)...), l.output(dir, true))
		}},
		{"delete", func(l *Lab, _ string) []string {
			return append([]string{"store", "delete"}, text(l.dead)...)
		}, false, func(l *Lab, _ string, valid []store.Path) error {
			return errors.Join(want(valid, l.kept), count(valid, 2))
		}},
		{"optimise", func(*Lab, string) []string { return []string{"store", "optimise"} }, false, func(l *Lab, _ string, valid []store.Path) error {
			return want(valid, all(l)...)
		}},
		{"rebuild", func(*Lab, string) []string { return []string{"store", "rebuild"} }, false, func(l *Lab, _ string, valid []store.Path) error {
			return want(valid, all(l)...)
		}},
		{"roots", func(l *Lab, dir string) []string {
			return []string{"store", "roots", "add", "--indirect", filepath.Join(dir, "out", "result"), string(l.dead[0])}
		}, false, func(l *Lab, _ string, valid []store.Path) error {
			return want(valid, all(l)...)
		}},
		{"copy", func(l *Lab, dir string) []string {
			return []string{"store", "copy", "--to", "file://" + filepath.Join(dir, "binary"), string(l.kept)}
		}, false, func(l *Lab, dir string, valid []store.Path) error {
			return errors.Join(want(valid, all(l)...), l.binaryCache(dir))
		}},
	}
}

// binaryCache checks that a cache has two paths whole, and nothing half.
func (l *Lab) binaryCache(dir string) error {
	cache := filepath.Join(dir, "binary")
	for pattern, n := range map[string]int{"*.narinfo": 2, "nar/*": 2, ".*": 0, "nar/.*": 0} {
		found, err := filepath.Glob(filepath.Join(cache, pattern))
		if err != nil || len(found) != n {
			return fmt.Errorf("%d of %s in the cache: want %d (%w)", len(found), pattern, n, err)
		}
	}
	args := []string{"store", "copy", "--store", filepath.Join(dir, "copied"), "--from", "file://" + cache, string(l.kept)}
	if out, err := l.Command(context.Background(), dir, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("copy from the cache: %w\n%s", err, out)
	}
	return nil
}

func text(paths []store.Path) []string {
	var list []string
	for _, p := range paths {
		list = append(list, string(p))
	}
	return list
}

func want(valid []store.Path, paths ...store.Path) error {
	for _, p := range paths {
		if !slices.Contains(valid, p) {
			return fmt.Errorf("%s is not valid", p)
		}
	}
	return nil
}

func count(valid []store.Path, n int) error {
	if len(valid) != n {
		return fmt.Errorf("%d paths are valid: want %d", len(valid), n)
	}
	return nil
}

// output checks that there is an image that is whole, or, unless it must be
// there, no file of that name; and that nothing lies beside it.
func (l *Lab) output(dir string, must bool) error {
	got, err := sum(filepath.Join(dir, "out", "image.tar.gz"))
	switch {
	case errors.Is(err, os.ErrNotExist) && !must:
		return nil
	case err != nil:
		return err
	case got != l.image:
		return errors.New("the image is not what it should be")
	}
	if !must {
		return nil
	}
	entries, err := os.ReadDir(filepath.Join(dir, "out"))
	if err == nil && len(entries) != 1 {
		err = fmt.Errorf("beside the image: %v", entries)
	}
	return err
}

// Syscalls are those that change something on disk, or see it, or lock it.
const Syscalls = "openat,write,pwrite64,mkdirat,unlinkat,renameat,renameat2,linkat,symlinkat,fchmodat,fchmod,chmod," +
	"utimensat,ftruncate,fallocate,fsync,fdatasync,syncfs,sync_file_range,flock,close,getdents64,newfstatat,fstat,mmap,munmap"

// A Point is where a process is killed: when a thread of it makes the n-th
// call of that kind.
type Point struct {
	Scenario string
	Syscall  string
	N        int
}

func (p Point) String() string { return fmt.Sprintf("%s, %s %d", p.Scenario, p.Syscall, p.N) }

// Points returns the points of all scenarios, in a random order.
func (l *Lab) Points(ctx context.Context, r *rand.Rand) ([]Point, error) {
	var points []Point
	for _, sc := range l.scenarios() {
		most, err := l.trace(ctx, sc, Syscalls)
		if err != nil {
			return nil, fmt.Errorf("trace %s: %w", sc.name, err)
		}
		for call := range strings.SplitSeq(Syscalls, ",") {
			for n := range most[call] {
				points = append(points, Point{sc.name, call, n + 1})
			}
		}
	}
	r.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
	return points, nil
}

// trace runs a scenario in peace, and returns how many of each of some calls one
// thread made at most.
func (l *Lab) trace(ctx context.Context, sc scenario, calls string) (map[string]int, error) {
	dir, err := l.fresh()
	if err != nil {
		return nil, err
	}
	defer remove(dir)
	log := filepath.Join(dir, "trace")
	cmd := l.Command(ctx, dir, sc.args(l, dir)...)
	if out, err := under(cmd, "-o", log, "-e", "trace="+calls).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	b, err := os.ReadFile(log)
	most, made := make(map[string]int), make(map[string]int)
	for line := range bytes.Lines(b) {
		pid, rest, _ := strings.Cut(string(line), " ")
		name, _, ok := strings.Cut(strings.TrimSpace(rest), "(")
		if !ok || strings.HasPrefix(name, "<") {
			continue
		}
		made[pid+" "+name]++
		most[name] = max(most[name], made[pid+" "+name])
	}
	return most, err
}

// under has strace run a command. (With its --seccomp-bpf it would be faster, but
// then it loses count.)
func under(cmd *exec.Cmd, options ...string) *exec.Cmd {
	args := append([]string{"strace", "-f", "-qq"}, options...)
	args = append(append(args, "--", cmd.Path), cmd.Args[1:]...)
	path, err := exec.LookPath("strace")
	return &exec.Cmd{Path: path, Err: err, Args: args, Dir: cmd.Dir, Env: cmd.Env}
}

// Kill kills a process at a point, and returns whether it came to it, and what
// was wrong then.
func (l *Lab) Kill(ctx context.Context, p Point) (killed bool, wrong []string, err error) {
	i := slices.IndexFunc(l.scenarios(), func(sc scenario) bool { return sc.name == p.Scenario })
	sc := l.scenarios()[i]
	dir, err := l.fresh()
	if err != nil {
		return false, nil, err
	}
	defer func() { err = errors.Join(err, remove(dir)) }()
	cmd := l.Command(ctx, dir, sc.args(l, dir)...)
	inject := fmt.Sprintf("inject=%s:signal=SIGKILL:when=%d", p.Syscall, p.N)
	traced := under(cmd, "-o", "/dev/null", "-e", "trace="+p.Syscall, "-e", inject)
	var out, said bytes.Buffer
	traced.Stdout, traced.Stderr = &out, &said
	err = traced.Run()
	killed = killedBy(traced.ProcessState, syscall.SIGKILL)
	if err != nil && !killed {
		return false, nil, fmt.Errorf("%s: %w\n%s", p, err, said.Bytes())
	}
	return killed, l.aftermath(ctx, sc, dir, out.Bytes()), nil
}

func killedBy(state *os.ProcessState, signal syscall.Signal) bool {
	if state == nil {
		return false
	}
	status, ok := state.Sys().(syscall.WaitStatus)
	return ok && ((status.Signaled() && status.Signal() == signal) || status.ExitStatus() == 128+int(signal))
}

// aftermath looks at what a killed process has left, and does the same again.
func (l *Lab) aftermath(ctx context.Context, sc scenario, dir string, out []byte) []string {
	var p problems
	root := filepath.Join(dir, "store")
	acknowledged := []store.Path{l.kept}
	if sc.acks {
		acknowledged = append(acknowledged, pathsIn(l.kept.Dir(), out)...)
	}
	before := p.check(ctx, root, acknowledged)
	if err := l.output(dir, false); err != nil {
		p.add("%v", err)
	}
	args := sc.args(l, dir)
	if sc.name == "delete" { // some of them may be deleted: all or none
		args = append([]string{"store", "delete"}, text(both(before, l.dead))...)
	}
	if len(args) > 2 || sc.name != "delete" {
		if again, err := l.Command(ctx, dir, args...).CombinedOutput(); err != nil {
			p.add("the same again: %v\n%s", err, again)
		}
	}
	valid := p.check(ctx, root, acknowledged)
	if err := sc.result(l, dir, valid); err != nil {
		p.add("the same again: %v", err)
	}
	p.clean(ctx, root)
	return p
}

func both(a, b []store.Path) []store.Path {
	return slices.DeleteFunc(slices.Clone(b), func(p store.Path) bool { return !slices.Contains(a, p) })
}
