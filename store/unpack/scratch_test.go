package unpack

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"terrine/store/fault"
)

// TestScratchesOfKilled (F21): what nobody has locked goes, and nothing else does.
func TestScratchesOfKilled(t *testing.T) {
	temp := filepath.Join(t.TempDir(), "[te*mp") // it is no pattern
	if err := os.Mkdir(temp, 0o755); err != nil {
		t.Fatal(err)
	}
	running, err := newScratch(temp)
	if err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(temp, scratchPrefix+"1")
	early := filepath.Join(temp, scratchPrefix+"2") // killed before it had a lock
	other := filepath.Join(temp, "other")
	outside := filepath.Join(temp, "outside")
	for _, dir := range []string{filepath.Join(left, "tree", "a"), early, other, outside} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(temp, scratchPrefix+"3")
	if err := os.Symlink(outside, link); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(left, "lock"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := newScratch(temp)
	if err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]bool{running.dir: true, s.dir: true, left: false, early: false, other: true, outside: true, link: true} {
		if _, err := os.Lstat(dir); (err == nil) != want {
			t.Errorf("%s: %v; want it there: %v", dir, err, want)
		}
	}
	for _, s := range []*scratch{running, s} {
		if err := s.remove(); err != nil {
			t.Error(err)
		}
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
		t.Errorf("behind the link: %v, %v", entries, err)
	}
}

// TestManyScratches makes and sweeps at once: nobody loses what is his.
func TestManyScratches(t *testing.T) {
	temp := t.TempDir()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				s, err := newScratch(temp)
				if err != nil {
					t.Error(err)
					return
				}
				if err := os.WriteFile(s.path("f"), nil, 0o644); err != nil {
					t.Error(err)
				}
				if err := s.remove(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestScratchWithoutPlace: in a container of nothing but a program there is no
// /tmp. The error says what is made there, and where to name another place: a
// caller who has named one is not told of a variable that does not count then.
func TestScratchWithoutPlace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, place := range []string{filepath.Join(t.TempDir(), "absent"), file} {
		t.Setenv("TMPDIR", place)
		for temp, hint := range map[string]string{
			"":    "set TMPDIR to a directory that you may write to",
			place: "name a directory that you may write to",
		} {
			s, err := newScratch(temp)
			if s != nil || err == nil || !strings.HasPrefix(err.Error(), "make a directory to unpack in: ") || fault.HintOf(err) != hint {
				t.Errorf("%q: got %v, %v with the hint %q; want an error with the hint %q", temp, s, err, fault.HintOf(err), hint)
			}
		}
	}
}
