package tests

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"terrine/tests/engines"
	"terrine/tests/fixtures"
)

// sparseSize is the size of the file of the fixture sparse: 8.1 GiB, where the
// size field of a tar header ends at 8.
const sparseSize = 8697308774

// maxResident is how much memory a build may have resident: it does not grow
// with the size of anything.
const maxResident = 64 << 20

// TestSparseFile makes an image with a file over 8 GiB. It takes no disk: nix
// has a hole for it, and the archive goes through a pipe to a tar reader.
func TestSparseFile(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	top := fixtures.Build(t, "sparse")[0]
	defer func() {
		remove := exec.Command("nix-store", "--delete", top)
		remove.Env = d.Environment()
		engines.Run(t, remove)
	}()
	s := d.WriteSpec(spec{"name": "sparse", "config": spec{"Cmd": []string{top}}})
	cmd := d.Command("build", s, "-o", "-", "--quiet")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	peak := watchMemory(t, cmd.Process)
	found := findSparse(t, out, strings.TrimPrefix(top, "/")+"/sparse")
	if _, err := io.Copy(io.Discard, out); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("build: %v\n%s", err, said.String())
	}
	if !found {
		t.Error("no layer has the file")
	}
	if peak := peak(); peak == 0 || peak > maxResident {
		t.Errorf("the build had %d MiB resident, want at most %d", peak>>20, int64(maxResident)>>20)
	}
}

// findSparse looks through the layers of an archive for the file, and reads it.
func findSparse(t *testing.T, archive io.Reader, name string) bool {
	t.Helper()
	outer := tar.NewReader(archive)
	for {
		h, err := outer.Next()
		if err == io.EOF {
			return false
		}
		if err != nil {
			t.Fatalf("read the archive: %v", err)
		}
		if h.Size < sparseSize {
			continue
		}
		layer := tar.NewReader(outer)
		for {
			h, err := layer.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("read the layer: %v", err)
			}
			if h.Name != name {
				continue
			}
			if h.Size != sparseSize {
				t.Errorf("the header has the size %d, want %d", h.Size, int64(sparseSize))
			}
			readZeros(t, layer)
			return true
		}
	}
}

// readZeros tests that r has sparseSize bytes, all zero.
func readZeros(t *testing.T, r io.Reader) {
	t.Helper()
	buffer, zeros := make([]byte, 1<<20), make([]byte, 1<<20)
	var total int64
	for {
		n, err := r.Read(buffer)
		if !bytes.Equal(buffer[:n], zeros[:n]) {
			t.Fatalf("there is something in the %d bytes from %d", n, total)
		}
		total += int64(n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if total != sparseSize {
		t.Errorf("the file has %d bytes, want %d", total, int64(sparseSize))
	}
}

// watchMemory reads, again and again, the most memory that a process has had
// resident so far, in bytes. The function that it returns ends that and returns
// the last figure. (The rusage of an ended process would not do: until it
// executes its program, a process counts the memory of the one that forked it.)
func watchMemory(t *testing.T, process *os.Process) (peak func() int64) {
	t.Helper()
	var last int64
	stop := meanwhile(t, func(ctx context.Context) error {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(process.Pid), "status"))
			if err != nil {
				return nil // it has ended
			}
			_, line, found := strings.Cut(string(status), "VmHWM:")
			var kib int64
			if _, err := fmt.Sscan(line, &kib); found && err == nil {
				last = kib << 10
			}
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
		}
	})
	return func() int64 {
		stop()
		return last
	}
}
