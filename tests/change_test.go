package tests

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"terrine/tests/engines"
	"terrine/tests/lab"
)

// changeDesk returns a desk with a store object in which a large file stands
// before, by name, the one that the test is to change.
func changeDesk(t *testing.T) (d *desk, specFile, storePath string) {
	t.Helper()
	d = newDesk(t)
	d.Write(strings.Repeat("content\n", 1<<20), "tree", "large")
	d.Write(strings.Repeat("content\n", 1<<10), "tree", "victim")
	storePath = d.Add(d.Path("tree"), "--name", "changing")
	if err := os.Chmod(d.inStore(storePath, "victim"), 0o644); err != nil {
		t.Fatal(err)
	}
	return d, d.WriteSpec(spec{"name": "changing", "config": spec{"Cmd": []string{storePath}}}), storePath
}

// TestContentChangesBeforeStream changes a file after terrine has begun to
// write to a pipe, which stands still meanwhile: what it then reads is not
// what it has hashed.
func TestContentChangesBeforeStream(t *testing.T) {
	changes := map[string]func(file string) error{
		"grows":          func(file string) error { return appendTo(file, "more") },
		"shrinks":        func(file string) error { return os.Truncate(file, 100) },
		"other content":  func(file string) error { return os.WriteFile(file, bytes.Repeat([]byte("CONTENT\n"), 1<<10), 0o644) },
		"goes":           os.Remove,
		"becomes a FIFO": func(file string) error { return errors.Join(os.Remove(file), mkfifo(file)) },
		"becomes another": func(file string) error {
			return errors.Join(os.Remove(file), os.WriteFile(file, []byte("short"), 0o444))
		},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, s, storePath := changeDesk(t)
			if err := os.Chmod(d.inStore(storePath), 0o755); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			cmd := d.CommandContext(ctx, "build", s, "-o", "-", "--quiet")
			var said bytes.Buffer
			cmd.Stderr = &said
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			// With the first byte here, and 8 MiB to come before the file, it
			// is hashed and not yet streamed.
			if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
				t.Errorf("nothing comes: %v", err)
			}
			if err := change(d.inStore(storePath, "victim")); err != nil {
				t.Error(err)
			}
			if _, err := io.Copy(io.Discard, out); err != nil {
				t.Error(err)
			}
			_ = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != lab.ExitRefused {
				t.Errorf("exit code %d, want %d", code, lab.ExitRefused)
			}
			if want := storePath + "/victim"; !strings.Contains(said.String(), want) {
				t.Errorf("the message does not name %s: %s", want, said.String())
			}
		})
	}
}

func mkfifo(file string) error { return unix.Mkfifo(file, 0o644) }

func appendTo(file, text string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// TestContentChangesAllTheTime appends to a file for as long as builds run. A
// build that meets the change cannot end well, and leaves neither an archive nor a
// temporary file. One may be through before the writer gets a processor: it is
// tried again.
func TestContentChangesAllTheTime(t *testing.T) {
	for _, output := range []string{"image.tar", "image.tar.gz"} {
		t.Run(output, func(t *testing.T) {
			t.Parallel()
			d, s, storePath := changeDesk(t)
			victim := d.inStore(storePath, "large")
			if err := os.Chmod(victim, 0o644); err != nil {
				t.Fatal(err)
			}
			stop := meanwhile(t, func(ctx context.Context) error {
				for ctx.Err() == nil {
					if err := appendTo(victim, "x"); err != nil {
						return err
					}
				}
				return nil
			})
			defer stop()
			var r engines.Result
			for range 50 {
				r = engines.Try(t, d.Command("build", s, "-o", d.Path("out", output), "--force"))
				if r.Code != 0 {
					break
				}
				// What is cached would be taken without a look at the file.
				if err := errors.Join(os.Remove(d.Path("out", output)), os.RemoveAll(d.Path("cache", "terrine"))); err != nil {
					t.Fatal(err)
				}
			}
			if r.Code != lab.ExitRefused || !strings.Contains(r.Stderr, storePath+"/large") {
				t.Errorf("exit code %d, want %d, and %s in the message: %s", r.Code, lab.ExitRefused, storePath+"/large", r.Stderr)
			}
			d.leavesNothing()
		})
	}
}
