package host

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"terrine/store"
)

// Bounds on a conversation with nix-store: the bytes of arguments to one
// call (Linux allows 2 MiB with the environment), of messages kept, and the
// time it has to end once it is told to.
const (
	maxArguments = 512 << 10
	maxMessages  = 16 << 10
	killDelay    = 2 * time.Second
)

// Query returns the closure of roots by asking the nix or the nix-store on PATH,
// with the environment as it is (so NIX_REMOTE and the like count). The result is
// sorted by path, without signatures and content addresses.
//
// errors.Is(err, store.ErrNotFound) tells that a root is not valid in the
// host's store, and exec.ErrNotFound that there is no nix-store. When ctx
// ends, so does what was started.
func Query(ctx context.Context, roots []store.Path) ([]*store.Info, error) {
	if len(roots) == 0 {
		return nil, nil
	}
	if infos, err := pathInfo(ctx, roots); err == nil {
		return infos, nil
	}
	paths, err := requisites(ctx, roots)
	if err != nil {
		return nil, fmt.Errorf("ask nix-store for a closure: %w", err)
	}
	list := newListing()
	for chunk := range chunks(paths) {
		err := run(ctx, "nix-store", append([]string{"--dump-db"}, chunk...), func(r io.Reader) error {
			return newRegistrationReader(r, list).read()
		})
		if err != nil {
			return nil, fmt.Errorf("ask nix-store for paths: %w", err)
		}
	}
	closure, err := list.closure()
	if err != nil {
		return nil, fmt.Errorf("ask nix-store for paths: %w", err)
	}
	return closure.Infos(), nil
}

// requisites returns the paths of the closure of roots.
func requisites(ctx context.Context, roots []store.Path) ([]string, error) {
	args := make([]string, len(roots))
	for i, p := range roots {
		args[i] = string(p)
	}
	var paths []string
	seen := make(map[string]bool)
	for chunk := range chunks(args) {
		err := run(ctx, "nix-store", append([]string{"--query", "--requisites"}, chunk...), func(r io.Reader) error {
			return readPaths(r, func(p string) {
				if !seen[p] {
					seen[p] = true
					paths = append(paths, p)
				}
			})
		})
		if err != nil {
			return nil, err
		}
	}
	return paths, nil
}

// readPaths calls each with the store paths in r, one a line.
func readPaths(r io.Reader, each func(p string)) error {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, maxLine), maxLine)
	for n := 1; s.Scan(); n++ {
		if n > maxPaths {
			return fmt.Errorf("more than %d paths", maxPaths)
		}
		p, err := store.ParsePath(s.Text())
		if err != nil {
			return err
		}
		each(string(p))
	}
	return s.Err()
}

// chunks splits arguments so that each part fits one command line.
func chunks(args []string) func(yield func([]string) bool) {
	return func(yield func([]string) bool) {
		for len(args) > 0 {
			n, size := 0, 0
			for n < len(args) && (n == 0 || size+len(args[n])+9 <= maxArguments) {
				size += len(args[n]) + 9 // a NUL and a pointer each
				n++
			}
			if !yield(args[:n]) {
				return
			}
			args = args[n:]
		}
	}
}

// run starts a program of Nix, gives its output to read, and waits for both. What
// the program says of a failure is preferred to what reading made of it.
func run(ctx context.Context, program string, args []string, read func(io.Reader) error) error {
	running, stop := context.WithCancel(ctx)
	defer stop()
	cmd := exec.CommandContext(running, program, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.WaitDelay = killDelay
	messages := &tail{}
	cmd.Stderr = messages
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	readErr := read(out)
	if readErr != nil {
		stop() // or it would block on a pipe that nobody empties
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		return messages.explain(err)
	case readErr != nil:
		return readErr
	}
	return err
}

// tail keeps the end of what is written to it.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if extra := len(t.b) - maxMessages; extra > 0 {
		t.b = append(t.b[:0], t.b[extra:]...)
	}
	return len(p), nil
}

// explain makes an error of what a program said before it failed.
func (t *tail) explain(err error) error {
	text := strings.TrimPrefix(string(bytes.TrimSpace(t.b)), "error: ")
	if text == "" {
		return err
	}
	if strings.HasSuffix(text, "is not valid") {
		return fmt.Errorf("%s: %w", text, store.ErrNotFound)
	}
	return fmt.Errorf("%s (%w)", text, err)
}
