package host

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"terrine/store"
	"terrine/store/fault"
	"terrine/store/input"
)

// Open reads a closure from a file, as `--closure FILE[#KEY]` names it, and
// tells its format by its beginning: JSON for ParseGraph, which gets the key,
// or text for ParseRegistration. A directory stands for the file registration
// in it, which is what closureInfo makes. A file whose whole name contains the
// '#' is preferred to one with a key.
func Open(ctx context.Context, name string) (*store.Closure, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, key, err := open(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("open closure: %w", err)
	}
	defer f.Close()
	closure, err := parse(bufio.NewReader(f), key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return closure, nil
}

func open(ctx context.Context, name string) (f *input.File, key string, err error) {
	f, err = openFile(ctx, name)
	if i := strings.LastIndexByte(name, '#'); i > 0 && errors.Is(err, fs.ErrNotExist) {
		f, err = openFile(ctx, name[:i])
		key = name[i+1:]
	}
	return f, key, err
}

// registration is what closureInfo calls the file in its directory.
const registration = "registration"

// openFile opens a file, or the registration in a directory.
func openFile(ctx context.Context, name string) (*input.File, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return input.Open(ctx, name)
	}
	f, err := input.Open(ctx, filepath.Join(name, registration))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.Refused, fmt.Errorf("open %s: %w without a file %s", name, syscall.EISDIR, registration))
	}
	return f, err
}

func parse(r *bufio.Reader, key string) (*store.Closure, error) {
	head, err := r.Peek(r.Size())
	if err != nil && err != io.EOF {
		return nil, err
	}
	head = bytes.TrimLeft(head, " \t\r\n")
	switch {
	case len(head) == 0:
		return nil, refuse("parse closure: nothing in it")
	case head[0] == '{', head[0] == '[':
		return parseGraph(r, key)
	case head[0] == '/' && key == "":
		return parseRegistration(r)
	case head[0] == '/':
		return nil, refuse("parse closure: registration text has no key %q", key)
	}
	return nil, fault.Hint(refuse("parse closure: begins with %q: neither JSON nor registration text", head[0]),
		"give the references graph of exportReferencesGraph, or what `nix-store --dump-db PATH…` prints")
}
