//go:build linux

package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"terrine/store"
)

// A Disk is a file system of its own, to cut the power of.
type Disk struct {
	kind  string // ext4, xfs or btrfs
	clean string // an image with an empty store, to start from
	image string
	mount string
}

// diskSize is the least that mkfs.xfs takes. The files are sparse.
const diskSize = 320 << 20

// NewDisk makes a disk of a kind in dir.
func NewDisk(ctx context.Context, kind, dir string) (*Disk, error) {
	d := &Disk{kind: kind, clean: filepath.Join(dir, kind+".clean"), image: filepath.Join(dir, kind+".image"), mount: filepath.Join(dir, kind)}
	if err := errors.Join(os.MkdirAll(d.mount, 0o755), os.WriteFile(d.clean, nil, 0o644), os.Truncate(d.clean, diskSize)); err != nil {
		return nil, err
	}
	flags := map[string]string{"ext4": "-qF", "xfs": "-qf", "btrfs": "-qf"}
	if err := run(ctx, "mkfs."+kind, flags[kind], d.clean); err != nil {
		return nil, err
	}
	// With a store on it, so that no cut hits the making of one: that is a
	// matter of a moment in the life of a store, and the kills have it.
	if err := run(ctx, "cp", "--sparse=always", d.clean, d.image); err != nil {
		return nil, err
	}
	if err := d.up(ctx); err != nil {
		return nil, err
	}
	s, err := store.Open(ctx, d.root(), store.Options{})
	if err == nil {
		err = s.Close()
	}
	if err := errors.Join(err, d.down(ctx)); err != nil {
		return nil, err
	}
	return d, os.Rename(d.image, d.clean)
}

func (d *Disk) root() string { return filepath.Join(d.mount, "store") }

func run(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

func (d *Disk) up(ctx context.Context) error {
	return run(ctx, "mount", "-o", "loop", d.image, d.mount)
}

// down unmounts the disk, which may be in use for a moment longer. Going on
// with a disk that is still there would test nothing.
func (d *Disk) down(ctx context.Context) (err error) {
	if !poll(ctx, func() bool { err = run(ctx, "umount", d.mount); return err == nil }) {
		return err
	}
	return d.gone(ctx)
}

// gone waits until nothing uses the image any more.
func (d *Disk) gone(ctx context.Context) error {
	var users []byte
	var err error
	free := poll(ctx, func() bool {
		users, err = exec.CommandContext(ctx, "losetup", "-j", d.image).Output()
		return err != nil || len(users) == 0
	})
	if !free {
		err = fmt.Errorf("%s is still in use: another mount namespace has it", d.image)
	}
	return err
}

// poll asks again and again whether something is done, and reports whether it
// was before ctx ended or twenty seconds were over.
func poll(ctx context.Context, done func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// shutdown is FS_IOC_SHUTDOWN with the flag NOLOGFLUSH: from now on the disk
// fails, and what is only in memory is lost.
const (
	shutdown   = 0x8004587d
	noLogFlush = 2
)

func (d *Disk) cut(ctx context.Context, w *workers) error {
	if d.kind == "btrfs" {
		return d.keepImage(ctx, w)
	}
	f, err := os.Open(d.mount)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.IoctlSetPointerInt(int(f.Fd()), shutdown, noLogFlush)
}

// keepImage is a cut of a file system that has no such call: what is in the
// image at one moment is what is on disk then. The processes are stopped
// meanwhile, and the file system itself writes nothing by itself for so short a
// time, so that the copy is of one moment. Bring it back with back.
func (d *Disk) keepImage(ctx context.Context, w *workers) error {
	if err := w.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	// Calls that are being made come to their end first.
	if !poll(ctx, w.stopped) {
		return errors.New("the workers do not stop")
	}
	return run(ctx, "cp", "--sparse=always", d.image, d.image+".cut")
}

// back has the disk be as it was at the cut. It is not mounted.
func (d *Disk) back() error {
	if d.kind != "btrfs" {
		return nil
	}
	return os.Rename(d.image+".cut", d.image)
}

// CutOptions say what happens before a cut.
type CutOptions struct {
	Seed    uint64
	Workers int  // processes that work on the store
	NoSync  bool // they leave out what makes a cut harmless
}

// CutResult is what a cut has done.
type CutResult struct {
	Acknowledged int // paths that had to be there
	Valid        int // that were
	Wrong        []string
}

// Cut has processes work on a store, cuts the power at a random moment or right
// after something was acknowledged, and looks at what is there when it is back.
func (d *Disk) Cut(ctx context.Context, o CutOptions) (*CutResult, error) {
	if err := run(ctx, "cp", "--sparse=always", d.clean, d.image); err != nil {
		return nil, err
	}
	if err := d.up(ctx); err != nil {
		return nil, err
	}
	w, err := d.startWorkers(o)
	if err == nil {
		w.await(rand.New(rand.NewPCG(o.Seed, 3)))
		w.close()
		err = d.cut(ctx, w)
	}
	err = errors.Join(err, w.stop(), d.down(ctx))
	if err == nil {
		err = d.back()
	}
	if err != nil {
		return nil, fmt.Errorf("cut the power of %s: %w", d.kind, err)
	}
	if err := d.up(ctx); err != nil {
		return nil, err
	}
	r := d.inspect(ctx, w)
	return r, d.down(ctx)
}

// inspect looks at the store after the power is back.
func (d *Disk) inspect(ctx context.Context, w *workers) *CutResult {
	var p problems
	var acknowledged []store.Path
	for _, path := range w.kept {
		acknowledged = append(acknowledged, path)
	}
	r := &CutResult{Acknowledged: len(acknowledged)}
	r.Valid = len(p.check(ctx, d.root(), acknowledged))
	dir, err := os.MkdirTemp("", "terrine-after-")
	if err != nil {
		p.add("%v", err)
	}
	defer os.RemoveAll(dir)
	if err := d.goOn(ctx, dir); err != nil {
		p.add("go on: %v", err)
	}
	p.check(ctx, d.root(), acknowledged) // also that no root was lost: there was a collection
	p.clean(ctx, d.root())
	r.Wrong = p
	return r
}

// goOn uses the store as if nothing had been.
func (d *Disk) goOn(ctx context.Context, dir string) error {
	if err := writeTree(filepath.Join(dir, "next"), map[string]string{"f": "1"}); err != nil {
		return err
	}
	s, err := store.Open(ctx, d.root(), store.Options{NoSync: true})
	if err != nil {
		return err
	}
	_, err = s.Add(ctx, filepath.Join(dir, "next"), store.AddOptions{})
	if err == nil {
		_, err = s.Optimise(ctx)
	}
	if err == nil {
		_, err = s.GC(ctx, store.GCOptions{})
	}
	return errors.Join(err, s.Close())
}
