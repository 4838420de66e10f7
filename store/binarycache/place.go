package binarycache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"terrine/store/fault"
)

// place is where the files of a cache are.
type place interface {
	// open returns a file from its beginning: what it is called below the place,
	// or an absolute URL. Its error is errAbsent if there is no such file. The
	// reader is for one goroutine and ends with ctx.
	open(ctx context.Context, name string) (io.ReadCloser, error)
	close() error
}

// errAbsent says that a place does not have a file.
var errAbsent = errors.New("no such file in the cache")

// newPlace returns the place that location names.
func newPlace(location string, o *Options) (place, error) {
	u, err := url.Parse(location)
	if err != nil {
		// Its text would show what may be secret.
		return nil, fault.New(fault.Usage, errors.New("not a URL"))
	}
	switch {
	case u.RawQuery != "" || u.Fragment != "":
		return nil, fault.New(fault.Usage, errors.New("the URL of a cache has no query and no fragment"))
	case u.Scheme == "file":
		dir, err := directoryOf(u)
		if err != nil {
			return nil, err
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			return nil, err
		}
		return directory{root}, nil
	case (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "":
		return newRemote(u, o), nil
	}
	return nil, fault.New(fault.Usage, errors.New("want an http:, https: or file: URL"))
}

// directoryOf returns the directory of a file: URL.
func directoryOf(u *url.URL) (string, error) {
	if u.Host != "" && u.Host != "localhost" || u.User != nil {
		return "", fault.New(fault.Usage, fmt.Errorf("file URL of another host: want file:///DIRECTORY"))
	}
	if u.Opaque != "" || !filepath.IsAbs(u.Path) {
		return "", fault.New(fault.Usage, errors.New("want an absolute path: file:///DIRECTORY"))
	}
	return filepath.Clean(u.Path), nil
}

// Directory returns the directory that a file: URL names.
func Directory(location string) (string, error) {
	u, err := url.Parse(location)
	if err != nil || u.Scheme != "file" || u.RawQuery != "" || u.Fragment != "" {
		return "", fault.New(fault.Usage, fmt.Errorf("open %s: want a URL of the form file:///DIRECTORY", redact(location)))
	}
	dir, err := directoryOf(u)
	if err != nil {
		return "", fmt.Errorf("open %s: %w", redact(location), err)
	}
	return dir, nil
}

// redact returns the URL of a cache without what may be secret in it.
func redact(location string) string {
	u, err := url.Parse(location)
	if err != nil {
		return "the cache"
	}
	return show(u)
}

// show writes a URL without user, password, query and fragment.
func show(u *url.URL) string {
	c := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	return c.String()
}

// directory is a cache on disk. Nothing outside of it can be read through it.
type directory struct{ root *os.Root }

func (d directory) close() error { return d.root.Close() }

func (d directory) open(ctx context.Context, name string) (io.ReadCloser, error) {
	name, _, _ = strings.Cut(name, "?")
	if !filepath.IsLocal(name) {
		return nil, fault.New(fault.Refused, fmt.Errorf("%q does not lie in the directory of the cache", name))
	}
	var info fs.FileInfo
	err := fault.Retry(func() (err error) {
		info, err = d.root.Stat(name)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errAbsent
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // a FIFO would keep us waiting
		return nil, fault.New(fault.Refused, fmt.Errorf("%q is no regular file", name))
	}
	f, err := d.root.Open(name)
	if err != nil {
		return nil, err
	}
	return &file{ctx, f}, nil
}

// file is a file whose reader can be stopped.
type file struct {
	ctx context.Context
	io.ReadCloser
}

func (f *file) Read(p []byte) (int, error) {
	if f.ctx.Err() != nil {
		return 0, context.Cause(f.ctx)
	}
	return f.ReadCloser.Read(p)
}
