package commands

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"terrine/store/fault"
)

// withMountPoints makes directories at paths below tree, calls do, and removes
// what it has made and do has not used.
func withMountPoints(tree string, paths []string, do func() error) error {
	var made []string
	defer func() {
		for i := len(made) - 1; i >= 0; i-- {
			// One that something was put into stays: it is part of the image.
			_ = os.Remove(made[i])
		}
	}()
	for _, p := range paths {
		here := tree
		for part := range strings.SplitSeq(strings.Trim(filepath.ToSlash(p), "/"), "/") {
			here = filepath.Join(here, part)
			info, err := os.Lstat(here)
			if errors.Is(err, os.ErrNotExist) {
				err = os.Mkdir(here, 0o755)
				made = append(made, here)
			} else if err == nil && !info.IsDir() {
				err = fault.New(fault.Refused, fmt.Errorf("mount %s: /%s of the image is no directory", p, strings.TrimPrefix(here, tree+"/")))
			}
			if err != nil {
				return err
			}
		}
	}
	return do()
}

// prepare mounts what is to be seen, and changes the root directory.
func prepare(r *request) error {
	if len(r.Binds)+len(r.ReadOnly) > 0 {
		// Or what is mounted here would be seen outside.
		if err := mount("", "/", unix.MS_REC|unix.MS_PRIVATE); err != nil {
			return fmt.Errorf("make mounts private: %w", err)
		}
	}
	for i, dir := range slices.Concat(r.Binds, r.ReadOnly) {
		at := filepath.Join("/", r.Root, dir)
		if err := mount(dir, at, unix.MS_BIND|unix.MS_REC); err != nil {
			return fmt.Errorf("mount %s in the tree: %w", dir, err)
		}
		if i < len(r.Binds) {
			continue
		}
		if err := forbidWrites(at); err != nil {
			return fmt.Errorf("mount %s read-only: %w", dir, err)
		}
	}
	if r.Root != "" {
		if err := fault.Retry(func() error { return unix.Chroot(r.Root) }); err != nil {
			return fmt.Errorf("change the root directory to %s: %w", r.Root, err)
		}
	}
	return fault.Retry(func() error { return os.Chdir(r.Dir) })
}

// mount mounts nothing but what is there already.
func mount(source, at string, flags uintptr) error {
	return fault.Retry(func() error { return unix.Mount(source, at, "", flags, "") })
}

// forbidWrites makes what is mounted at a path read-only, and, from Linux 5.12
// on, what is mounted below it: each of a build's inputs, in the sandbox of Nix.
func forbidWrites(at string) error {
	err := fault.Retry(func() error {
		return unix.MountSetattr(unix.AT_FDCWD, at, unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
	})
	if err == nil {
		return nil
	}
	var fs unix.Statfs_t
	if err := fault.Retry(func() error { return unix.Statfs(at, &fs) }); err != nil {
		return err
	}
	// In a user namespace these cannot be taken off; the numbers are the same.
	const kept = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_NODIRATIME
	return mount("", at, unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|uintptr(fs.Flags)&kept)
}
