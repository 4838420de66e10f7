package binarycache

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"terrine/store"
	"terrine/store/compression"
	"terrine/tests/need"
)

// realNix is the installed Nix with a store of the test's own.
type realNix struct {
	t    *testing.T
	root string
}

func newNix(t *testing.T) *realNix {
	t.Helper()
	need.Programs(t, "nix")
	n := &realNix{t, filepath.Join(t.TempDir(), "root")}
	t.Cleanup(func() { // what t.TempDir can remove
		err := filepath.WalkDir(n.root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				err = os.Chmod(path, 0o700)
			}
			return err
		})
		if err != nil && !os.IsNotExist(err) {
			t.Error(err)
		}
	})
	return n
}

// run runs a program of Nix with settings and returns the words it prints.
func (n *realNix) run(settings string, args ...string) []string {
	n.t.Helper()
	cmd := exec.CommandContext(n.t.Context(), args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "HOME="+n.t.TempDir(), "NIX_REMOTE=local?root="+n.root,
		"NIX_CONFIG=sandbox = false\nbuild-users-group =\nexperimental-features = nix-command\n"+settings)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		n.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return strings.Fields(string(out))
}

var writable = []compression.Format{compression.None, compression.XZ, compression.Zstd}

// TestNixTakesOurCache gives caches to `nix copy` and, as substituters, to
// `nix-store --realise`.
func TestNixTakesOurCache(t *testing.T) {
	for _, format := range writable {
		b := newBench(t, format)
		from := "file://" + b.dir
		trusted := "trusted-public-keys = " + string(golden(t, "test-1.public")) + "\nsubstituters =\n"
		t.Run("copy "+string(format), func(t *testing.T) {
			n := newNix(t)
			n.run(trusted, "nix", "copy", "--from", from, string(b.big.Path))
			n.compare(b.big, b.small)
		})
		t.Run("realise "+string(format), func(t *testing.T) {
			n := newNix(t)
			n.run(trusted+"substituters = "+from+"\n", "nix-store", "--realise", string(b.big.Path))
			n.compare(b.big, b.small)
		})
	}
}

// compare tests that Nix has paths as we have them, and that the contents are
// those.
func (n *realNix) compare(infos ...*store.Info) {
	n.t.Helper()
	for _, info := range infos {
		hash := n.run("", "nix-store", "--query", "--hash", string(info.Path))
		refs := n.run("", "nix-store", "--query", "--references", string(info.Path))
		var want []string
		for _, ref := range info.References {
			want = append(want, string(ref))
		}
		slices.Sort(refs)
		if len(hash) != 1 || hash[0] != store.FormatHash(info.NARHash) || !slices.Equal(refs, want) {
			n.t.Errorf("%s: nix has the hash %s and refers to %s", info.Path, hash, refs)
		}
	}
	n.run("", "nix-store", "--verify", "--check-contents")
}

// TestWeTakeNixCache reads caches that Nix writes, in every format there is.
func TestWeTakeNixCache(t *testing.T) {
	for _, format := range []compression.Format{compression.None, compression.XZ, compression.Zstd, compression.Bzip2} {
		t.Run(string(format), func(t *testing.T) {
			b := newBench(t, compression.None)
			trusted := "trusted-public-keys = " + string(golden(t, "test-1.public")) + "\nsubstituters =\n"
			n := newNix(t)
			n.run(trusted, "nix", "copy", "--from", "file://"+b.dir, string(b.big.Path))
			dir := filepath.Join(t.TempDir(), "by-nix")
			n.run("", "nix", "copy", "--to", "file://"+dir+"?compression="+string(format), string(b.big.Path))
			s := newServer(t, dir)
			c, err := Open(t.Context(), s.URL, b.options(t))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			infos, err := c.Fetch(t.Context(), b.store, b.big.Path)
			if err != nil || len(infos) != 2 {
				t.Fatalf("%d paths, %v", len(infos), err)
			}
			wellKept(t, b.store, 2)
			got, err := c.Info(t.Context(), b.big.Path)
			if err != nil {
				t.Fatal(err)
			}
			if got.Compression != format {
				t.Errorf("compressed as %s", got.Compression)
			}
			want := *b.big
			want.Signatures = got.Signatures
			if diff := cmp.Diff(&want, &got.Info); diff != "" || len(got.Signatures) != 1 {
				t.Errorf("Nix's narinfo (-ours +Nix's):\n%s", diff)
			}
		})
	}
}
