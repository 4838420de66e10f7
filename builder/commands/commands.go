// Package commands runs a user's shell commands on the root layer of an image,
// as a tree on disk: what dockerTools does with fakeroot and proot.
//
// Commands that are to run as root do so in a user namespace, where they are
// root without being it outside. Such a namespace has one user, so no file in it
// can really be given to another: chown is not done but noted. The kernel stops
// the process at the call (seccomp's user notification), and who shall own the
// file is written down in [Owners]. That needs no preloaded library, works for
// static programs, and inside the sandbox of Nix.
package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"terrine/store/fault"
)

// A Script is a text for a shell.
type Script struct {
	Name string // of the argument that the text is from, for errors
	Text string
	// Root runs it as root, or so that it takes itself for root.
	Root bool
	// Chroot makes the tree the root directory. It implies Root.
	Chroot bool
}

// Options say where and how scripts run.
type Options struct {
	// Tree is the root directory of the image, and where scripts start.
	Tree string
	// Scratch is a directory for the process's own files, which scripts may use as well.
	Scratch string
	// Shell is the program that takes a script as its argument. It is called
	// with the option -e.
	Shell string
	// Env is the whole environment of the scripts, but for PATH. Path are the
	// directories that PATH has; with Chroot those of the image come after them.
	Env, Path []string
	// ReadOnly are directories of this machine that scripts can read and not
	// change, though the tree has links to files in them, and who runs this may
	// own those: the store. Scripts with Chroot see them in the tree at their own
	// path, beside /dev, /proc, /sys and Scratch. What is not run as root is held
	// off by the rights of files alone, unless this process is root; so is all where
	// nothing can be mounted.
	ReadOnly []string
	Output   io.Writer
}

// Run runs scripts one after the other, and notes in owners to whom they give
// files. It stops at the first that fails; the error has the class fault.Build.
// When ctx ends, the script is killed with what it has started, and the error
// is the cause of ctx.
func Run(ctx context.Context, scripts []Script, o Options, owners *Owners) error {
	for i, s := range scripts {
		file := filepath.Join(o.Scratch, fmt.Sprintf(".terrine-%d-%s", i, s.Name))
		if err := os.WriteFile(file, []byte(s.Text), 0o600); err != nil {
			return fmt.Errorf("run %s: %w", s.Name, err)
		}
		err := run(ctx, s, file, o, owners)
		if rmErr := os.Remove(file); err == nil {
			err = rmErr
		}
		if err != nil {
			return fmt.Errorf("run %s: %w", s.Name, err)
		}
	}
	return nil
}

func run(ctx context.Context, s Script, file string, o Options, owners *Owners) error {
	argv := []string{o.Shell, "-e", file}
	path := o.Path
	if s.Chroot {
		path = append(slices.Clip(path), "/bin", "/usr/bin")
	}
	o.Env = append(slices.Clip(o.Env), "PATH="+strings.Join(path, ":"))
	if s.Root || s.Chroot {
		return runAsRoot(ctx, s, argv, o, owners)
	}
	if ran, err := runGuarded(ctx, argv, o); ran {
		return err
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = o.Tree, o.Env
	cmd.Stdout, cmd.Stderr = o.Output, o.Output
	killTogether(cmd)
	err := cmd.Run()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return failed(exit.String())
	}
	return err
}

// killTogether has what cmd starts die with it when its context ends: what
// lives on has its output open, and who waits for that waits for all of it.
func killTogether(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.Cancel = func() error {
		err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		if errors.Is(err, syscall.ESRCH) {
			return os.ErrProcessDone
		}
		return err
	}
}

// failed is the error of a script that has ended with something else than 0.
func failed(how string) error {
	err := fault.New(fault.Build, errors.New(how))
	if how == notFound {
		return fault.Hint(err, "a command was not found: pass the packages that have it as the argument tools")
	}
	return fault.Hint(err, "what it has said stands above; setuid and setgid bits cannot be set inside a Nix build, nor devices made, nor files in the store changed: "+declare)
}

// notFound is how a shell ends for want of a command.
const notFound = "exit status 127"

// declare is the way that works everywhere.
const declare = "declare modes and owners with the arguments perms and files instead"
