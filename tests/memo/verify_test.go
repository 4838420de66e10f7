package memo

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"terrine/tests/engines"
	"terrine/tests/fixtures"
	"terrine/tests/lab"
)

// TestVerifyFindsDamage changes one byte of a store, whose size and time stay as
// they were (S21): --verify full fails naming the path and publishes nothing,
// also when everything is cached, and the others do not look.
func TestVerifyFindsDamage(t *testing.T) {
	d, s, closure := smallDesk(t)
	file, _ := d.build(s, "image.tar.gz", "--verify", "full")
	want := lab.FileDigest(t, file)
	victim, path := largestFile(t, d.Path("data", "terrine"), closure)
	flipByte(t, victim)
	for _, flags := range [][]string{nil, {"--no-cache"}, {"--layer-compression", "gzip"}} {
		for _, name := range []string{"verified.tar.gz", "verified.tar"} {
			if flags != nil && flags[0] != "--no-cache" && name != "verified.tar" {
				continue
			}
			line := append([]string{"build", s, "-o", d.Path("out", name), "--verify", "full"}, flags...)
			r := engines.Try(t, d.Command(line...))
			if r.Code != lab.ExitIntegrity || !strings.Contains(r.Stderr, path) {
				t.Errorf("%s %v: exit code %d, want %d, and %s in: %s", name, flags, r.Code, lab.ExitIntegrity, path, r.Stderr)
			}
			if left, err := filepath.Glob(d.Path("out", "*verified*")); err != nil || len(left) != 0 {
				t.Errorf("%s %v: left behind: %q (%v)", name, flags, left, err)
			}
		}
	}
	// What is cached is from before the damage.
	if file, _ = d.build(s, "image.tar.gz"); lab.FileDigest(t, file) != want {
		t.Error("the damage got into the cache")
	}
}

// largestFile returns the largest file of store paths below root, and whose it is.
func largestFile(t *testing.T, root string, paths []string) (file, path string) {
	t.Helper()
	largest := int64(-1)
	for _, p := range paths {
		err := filepath.WalkDir(filepath.Join(root, p), func(name string, e os.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			info, err := e.Info()
			if err == nil && info.Size() > largest {
				largest, file, path = info.Size(), name, p
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return file, path
}

// flipByte changes a byte in the middle of a file, and nothing else of it.
func flipByte(t *testing.T, file string) {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	at := info.Size() / 2
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0xff
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
	if err := f.Chmod(info.Mode()); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
}

// TestSplicingCostsHardlyAnything: an archive of a member a part is at most 0.5 %
// larger than one stream of pgzip, by default, and of the same level of the same
// encoder. make bench has more levels, and small paths.
func TestSplicingCostsHardlyAnything(t *testing.T) {
	for _, c := range []struct {
		codec    string
		packages []string
	}{{"gzip", fixtures.Medium}, {"gzip", fixtures.Small}, {"gzip:6", fixtures.Small}} {
		d := newDesk(t)
		s := d.WriteSpec(spec{"name": "size", "config": spec{"Cmd": []string{fixtures.Debian(t, c.packages...)}}})
		many, _ := d.build(s, "many.tar.gz", "--no-cache", "--compression", c.codec)
		one, _ := d.build(s, "one.tar.gz", "--no-cache", "--compression", c.codec, "--gzip-members", "one")
		ratio := fileSize(t, many) / fileSize(t, one)
		t.Logf("%s of %q: many members have %.4f of the bytes of one", c.codec, c.packages, ratio)
		if ratio > 1.005 {
			t.Errorf("%s of %q: many members have %.4f of the bytes of one", c.codec, c.packages, ratio)
		}
	}
}

func fileSize(t *testing.T, file string) float64 {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return float64(info.Size())
}
