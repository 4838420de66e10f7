package commands

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"terrine/store/fault"
)

// The words by which a terrine that is started in the namespaces knows what it
// is to do. See Enter and Exec.
const (
	builderWord = "nix-builder"
	enterWord   = "enter"
	execWord    = "exec"
)

// self is the running program, also where it cannot be reached by its name.
const self = "/proc/self/exe"

// request is what Enter is told.
type request struct {
	Root     string   // to be made the root directory; "" if none
	Dir      string   // where to start, in Root
	Binds    []string // to be mounted below Root
	ReadOnly []string // the same, so that nothing in them can be changed
	Argv     []string
	Env      []string
	// Plain is for a program that does not take itself for root.
	Plain bool
	// Owners are those noted so far: the program is to see them.
	Owners []ownedFile
}

// answer is what Enter says at the end.
type answer struct {
	Owners  []ownedFile
	Failure string // how the program ended, unless well
	Error   string // why it was not started
	// Unprepared tells that the error is of the mounts, before the program.
	Unprepared bool
}

// runAsRoot runs a program that takes itself for root.
func runAsRoot(ctx context.Context, s Script, argv []string, o Options, owners *Owners) error {
	r := request{Dir: o.Tree, Argv: argv, Env: o.Env, Owners: owners.list(), ReadOnly: existing(o.ReadOnly)}
	if !s.Chroot {
		return enter(ctx, &r, o, owners)
	}
	r.Root, r.Dir = o.Tree, "/"
	r.Binds = existing([]string{"/dev", "/proc", "/sys", o.Scratch})
	return withMountPoints(o.Tree, slices.Concat(r.Binds, r.ReadOnly), func() error { return enter(ctx, &r, o, owners) })
}

// existing returns those of paths that there are.
func existing(paths []string) (there []string) {
	for _, p := range paths {
		if _, err := os.Stat(p); err == nil {
			there = append(there, p)
		}
	}
	return there
}

// runGuarded runs a program that does not take itself for root, but is, where
// it cannot change what is to be read only. ran is false where there is nothing
// to guard, or no way to.
func runGuarded(ctx context.Context, argv []string, o Options) (ran bool, err error) {
	readOnly := existing(o.ReadOnly)
	if os.Geteuid() != 0 || len(readOnly) == 0 {
		return false, nil
	}
	r := request{Dir: o.Tree, Argv: argv, Env: o.Env, ReadOnly: readOnly, Plain: true}
	a, err := startEnter(ctx, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}, &r, o)
	switch {
	case ctx.Err() != nil:
		return true, context.Cause(ctx)
	case err != nil || a.Unprepared:
		return false, nil
	case a.Error != "":
		return true, errors.New(a.Error)
	case a.Failure != "":
		return true, failed(a.Failure)
	}
	return true, nil
}

// enter starts Enter in namespaces of its own: the first in which it can prepare
// the file system.
func enter(ctx context.Context, r *request, o Options, owners *Owners) error {
	var first error
	for _, attr := range namespaces(r.Root != "") {
		if attr.Cloneflags&syscall.CLONE_NEWNS == 0 {
			r.ReadOnly = nil // it would be so for the whole machine
		}
		a, err := startEnter(ctx, attr, r, o)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil && a.Unprepared {
			err = errors.New(a.Error)
		}
		if err != nil {
			first = cmp.Or(first, err)
			continue
		}
		owners.add(a.Owners)
		switch {
		case a.Error != "":
			return errors.New(a.Error)
		case a.Failure != "":
			return failed(a.Failure)
		}
		return nil
	}
	err := fmt.Errorf("no namespace to be root in: %w", first)
	return fault.New(fault.Refused, fault.Hint(err, "where user namespaces, or mounts in them, are forbidden, "+declare))
}

// namespaces returns what to try, the best first.
func namespaces(chroot bool) []*syscall.SysProcAttr {
	// No PID namespace: /proc, where the memory of a stopped process is read,
	// tells the numbers of the one outside.
	user := func(flags uintptr) *syscall.SysProcAttr {
		return &syscall.SysProcAttr{
			Cloneflags:  flags | syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
		}
	}
	all := []*syscall.SysProcAttr{user(syscall.CLONE_NEWNS)}
	if !chroot {
		all = append(all, user(0)) // where AppArmor forbids mounts, as in Ubuntu
	}
	if os.Geteuid() == 0 {
		all = slices.Insert(all, 0, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS})
		if !chroot {
			all = append(all, &syscall.SysProcAttr{}) // in a container of docker there is none
		}
	}
	return all
}

// startEnter starts Enter and waits for it. The error is that of starting.
func startEnter(ctx context.Context, attr *syscall.SysProcAttr, r *request, o Options) (*answer, error) {
	in, toChild, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	defer toChild.Close()
	fromChild, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer fromChild.Close()
	defer out.Close()
	cmd := exec.CommandContext(ctx, self, builderWord, enterWord)
	attr.Pdeathsig = syscall.SIGKILL
	cmd.SysProcAttr, cmd.Env = attr, []string{}
	cmd.Stdout, cmd.Stderr = o.Output, o.Output
	cmd.ExtraFiles = []*os.File{in, out}
	killTogether(cmd)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	in.Close()
	out.Close()
	err = json.NewEncoder(toChild).Encode(r)
	toChild.Close()
	var a answer
	if decodeErr := json.NewDecoder(fromChild).Decode(&a); err == nil && decodeErr != nil {
		err = fmt.Errorf("it ended without a word: %w", decodeErr)
	}
	if waitErr := cmd.Wait(); err != nil {
		a.Error = errors.Join(err, waitErr).Error()
	}
	return &a, nil
}

// Enter is the main function of a terrine that this package starts in new
// namespaces. It reads from in what to do, prepares the file system, runs the
// program, notes the owners that it gives files, and writes them to out. The
// program does not inherit the two.
func Enter(ctx context.Context, in, out *os.File) error {
	unix.CloseOnExec(int(in.Fd()))
	unix.CloseOnExec(int(out.Fd()))
	var r request
	if err := json.NewDecoder(in).Decode(&r); err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	var a answer
	if err := prepare(&r); err != nil {
		a = answer{Error: err.Error(), Unprepared: true}
	} else if r.Plain {
		a = plain(ctx, &r)
	} else {
		a = supervised(ctx, &r)
	}
	return json.NewEncoder(out).Encode(&a)
}

// plain runs the program.
func plain(ctx context.Context, r *request) (a answer) {
	cmd := exec.CommandContext(ctx, r.Argv[0], r.Argv[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = r.Env, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		a.Failure = err.Error()
	} else if err != nil {
		a.Error = err.Error()
	}
	return a
}

// supervised runs the program by way of Exec.
func supervised(ctx context.Context, r *request) (a answer) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return answer{Error: err.Error()}
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "socket"), os.NewFile(uintptr(pair[1]), "socket")
	defer ours.Close()
	stop, ended, err := os.Pipe()
	if err != nil {
		return answer{Error: err.Error()}
	}
	defer stop.Close()
	defer ended.Close()
	cmd := exec.CommandContext(ctx, self, append([]string{builderWord, execWord}, r.Argv...)...)
	cmd.Env, cmd.Stdout, cmd.Stderr = r.Env, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.ExtraFiles = []*os.File{theirs}
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		// Where it is not static, its libraries are not there.
		return answer{Error: fmt.Sprintf("start terrine in the tree: %v", err)}
	}
	var owners Owners
	owners.add(r.Owners)
	done := make(chan error, 1)
	go func() { done <- notice(ours, stop, &owners) }()
	err = cmd.Wait()
	ended.Close()
	if noticeErr := <-done; noticeErr != nil {
		a.Error = fmt.Sprintf("note owners: %v", noticeErr)
	}
	if err != nil {
		a.Failure = err.Error()
	}
	a.Owners = owners.list()
	return a
}
