package builder

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"terrine/store/fault"
)

// A damaged is a store with a file that can be changed so that neither size nor time
// shows it, and a way to build from it.
type damaged struct {
	*hostStore
	t       *testing.T
	dir     string // of outputs
	object  string
	file    string
	modTime time.Time
}

func newDamaged(t *testing.T, s *hostStore) *damaged {
	t.Helper()
	object := string(s.infos[1].Path)
	d := &damaged{hostStore: s, t: t, dir: t.TempDir(), object: object, file: filepath.Join(object, "bin/app")}
	info, err := os.Stat(d.file)
	if err != nil {
		t.Fatal(err)
	}
	d.modTime = info.ModTime()
	return d
}

// put writes the file, which is right with "run".
func (d *damaged) put(text string) {
	d.t.Helper()
	if err := errors.Join(os.Chmod(d.file, 0o755), os.WriteFile(d.file, []byte(text), 0o555), os.Chtimes(d.file, time.Time{}, d.modTime)); err != nil {
		d.t.Fatal(err)
	}
}

func (d *damaged) build(out Output, o Options) ([]byte, error) {
	d.t.Helper()
	out.Writer, out.Path, out.Force = nil, filepath.Join(d.dir, "image"), true
	if err := d.write(d.t, d.t.Context(), out, o); err != nil {
		return nil, err
	}
	defer os.Remove(out.Path)
	return os.ReadFile(out.Path)
}

// TestDamageThatDoesNotShowIsNotKept: a file changes between two builds and keeps
// its size and time. The layer is known, and its parts are encoded for the first
// time: what the memo kept of them would be wrong for ever.
func TestDamageThatDoesNotShowIsNotKept(t *testing.T) {
	for _, how := range []string{"gzip", "compressed layers"} {
		out := streams(t)[how]
		s, o := warm(t, Output{Writer: io.Discard})
		d := newDamaged(t, s)
		want, err := d.build(out, Options{Sources: o.Sources})
		if err != nil {
			t.Fatal(err)
		}
		d.put("rum")
		if _, err := d.build(out, o); fault.CodeOf(err) != fault.Integrity || !strings.Contains(err.Error(), d.object) {
			t.Errorf("%s: %v", how, err)
		}
		if _, err := os.Stat(filepath.Join(d.dir, "image")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: an archive is written", how)
		}
		d.put("run")
		for _, state := range []string{"cold", "warm"} {
			if got, err := d.build(out, o); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s, %s: %d bytes of %d that are others, %v", how, state, len(got), len(want), err)
			}
		}
	}
}

// TestFullVerificationMendsTheMemo: a file was damaged when the memo learned of its
// store path, and repaired since. Whatever is verified in full afterwards, no codec
// makes of the memo what is not in the store.
func TestFullVerificationMendsTheMemo(t *testing.T) {
	for how, verified := range streams(t) {
		s := newHostStore(t)
		s.add(t, "3", "zz-large", map[string]string{"share/large": "large"})
		o := s.options()
		o.Memo, _ = openMemo(t, t.TempDir())
		d := newDamaged(t, s)
		d.put("rum")
		if _, err := d.build(streams(t)["gzip"], o); err != nil {
			t.Fatal(err)
		}
		d.put("run")
		full := o
		full.Verify = VerifyFull
		if _, err := d.build(verified, full); err != nil {
			t.Fatalf("%s: %v", how, err)
		}
		for name, out := range streams(t) {
			want, err := d.build(out, Options{Sources: o.Sources})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := d.build(out, o); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s, after %s was verified: other bytes, %v", name, how, err)
			}
		}
	}
}

// TestDamageThatWasKeptDoesNotGoAround: a file was damaged when its store path was
// compressed, and is repaired since. A layer that holds it among others has the bytes
// that its digest says.
func TestDamageThatWasKeptDoesNotGoAround(t *testing.T) {
	for how, out := range streams(t) {
		s, o := warm(t)
		d := newDamaged(t, s)
		d.put("rum")
		if _, err := d.build(out, o); err != nil {
			t.Fatal(err)
		}
		d.put("run")
		build := func(out Output, o Options) (b bytes.Buffer) {
			t.Helper()
			plan, err := NewPlan(t.Context(), s.spec(t, strings.Replace(changedSpec, "{", `{"maxLayers":2,`, 1)), o)
			if err != nil {
				t.Fatal(err)
			}
			out.Writer = &b
			if _, err := plan.WriteArchive(t.Context(), out, o); err != nil {
				t.Errorf("%s: %v", how, err)
			}
			return b
		}
		want := build(out, Options{Sources: o.Sources})
		for _, state := range []string{"damaged", "mended"} {
			if got := build(out, o); !bytes.Equal(got.Bytes(), want.Bytes()) {
				t.Errorf("%s, cache %s: other bytes", how, state)
			}
		}
	}
}

// TestNothingIsBelievedOfRepairedPaths: a layer of a file that was damaged is known. The
// file was repaired since, and another image has shown that what is kept of it was
// wrong, or has mended it. No digest of the damaged file goes with the parts of the
// repaired one.
func TestNothingIsBelievedOfRepairedPaths(t *testing.T) {
	for _, verify := range []string{VerifyMeta, VerifyFull} {
		for _, how := range []string{"gzip", "compressed layers"} {
			t.Run(how+", "+verify, func(t *testing.T) { testRepairedPath(t, how, verify) })
		}
	}
}

func testRepairedPath(t *testing.T, how, verify string) {
	out := streams(t)[how]
	s, o := warm(t)
	d := newDamaged(t, s)
	want, err := d.build(out, Options{Sources: o.Sources})
	if err != nil {
		t.Fatal(err)
	}
	d.put("rum")
	if _, err := d.build(out, o); err != nil {
		t.Fatal(err)
	}
	d.put("run")
	plan, err := NewPlan(t.Context(), s.spec(t, strings.Replace(changedSpec, "{", `{"maxLayers":2,`, 1)), o)
	if err != nil {
		t.Fatal(err)
	}
	other := out
	other.Writer = io.Discard
	checking := o
	checking.Verify = verify
	if _, err := plan.WriteArchive(t.Context(), other, checking); err != nil {
		t.Fatal(err)
	}
	if got, err := d.build(out, o); err != nil || !bytes.Equal(got, want) {
		t.Errorf("other bytes, %v", err)
	}
}
