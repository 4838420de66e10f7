package deb

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"terrine/store/compression"
	"terrine/store/fault"
	"terrine/store/unpack"
)

// Bounds of what is read into memory.
const (
	maxFormat  = 64       // bytes of debian-binary: "2.0\n"
	maxControl = 1 << 20  // bytes of a control file: long ones have some 20 KB
	maxMembers = 1 << 12  // entries of a control archive, which has a dozen
	maxSkipped = 64 << 20 // bytes of them
)

// members goes through a package up to a member whose name begins with prefix,
// such as data.tar, and returns a reader of it.
func members(r io.Reader, prefix string) (*arReader, error) {
	a, err := newArReader(r)
	if err != nil {
		return nil, err
	}
	if err := format(a); err != nil {
		return nil, err
	}
	for {
		name, err := a.next()
		if err == io.EOF {
			return nil, malformed("it has no %s", prefix)
		}
		if err != nil {
			return nil, err
		}
		if suffix, ok := strings.CutPrefix(name, prefix); ok {
			if !slices.Contains([]string{"", ".gz", ".xz", ".zst", ".bz2"}, suffix) {
				return nil, malformed("%s: this compression is not supported", name)
			}
			return a, nil
		}
	}
}

// format reads the first member, which says what the others are.
func format(a *arReader) error {
	name, err := a.next()
	if err != nil && err != io.EOF {
		return err
	}
	if name != "debian-binary" {
		return malformed("its first member is %q: want debian-binary", name)
	}
	text, err := io.ReadAll(io.LimitReader(a, maxFormat))
	if err == nil && !strings.HasPrefix(string(text), "2.") {
		err = malformed("it has the format %q: want 2.0", text)
	}
	return err
}

// readPackage reads what a package says of itself. One that is malformed is of
// class fault.Refused.
func readPackage(r io.Reader) (*Package, error) {
	p, err := read(r)
	if err != nil {
		return nil, fmt.Errorf("read Debian package: %w", err)
	}
	return p, nil
}

func read(r io.Reader) (*Package, error) {
	member, err := members(r, "control.tar")
	if err != nil {
		return nil, err
	}
	br := bufio.NewReader(member)
	format, err := compression.Detect(br)
	if err != nil {
		return nil, err
	}
	plain, err := compression.NewReader(format, br)
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	limited := &io.LimitedReader{R: plain, N: maxSkipped}
	t := tar.NewReader(limited)
	for range maxMembers {
		h, err := t.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, controlError(err)
		}
		if path.Clean(h.Name) != "control" || h.Typeflag != tar.TypeReg {
			continue
		}
		if h.Size > maxControl {
			return nil, malformed("its control file has %d bytes: at most %d are allowed", h.Size, maxControl)
		}
		text, err := io.ReadAll(io.LimitReader(t, maxControl))
		if err != nil {
			return nil, controlError(err)
		}
		return parseControl(text)
	}
	return nil, malformed("it has no control file")
}

// controlError gives what the tar reader says a class; other errors have one or
// are of the machine.
func controlError(err error) error {
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, tar.ErrFieldTooLong) {
		return fault.New(fault.Refused, fmt.Errorf("control.tar: %w", err))
	}
	return err
}

// unpackFiles unpacks the files of a package into dir, as unpack.Tar does: several
// packages can be unpacked into one directory if no file is in two of them.
func unpackFiles(ctx context.Context, r io.Reader, dir string) error {
	member, err := members(r, "data.tar")
	if err != nil {
		return err
	}
	return unpack.Tar(ctx, member, dir)
}
