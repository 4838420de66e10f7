package builder

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"terrine/builder/layer/codec"
	"terrine/store/fault"
)

const changedSpec = `{"name":"x","tag":"1","contents":["@app","@tool","@zz-large"]}`

// warm returns a store of which a memo knows what these outputs need.
func warm(t *testing.T, outputs ...Output) (*hostStore, Options) {
	t.Helper()
	s := newHostStore(t)
	s.add(t, "3", "zz-large", map[string]string{"share/large": strings.Repeat("large", 1<<18)})
	m, _ := openMemo(t, t.TempDir())
	o := s.options()
	o.Memo = m
	for _, out := range outputs {
		if err := s.write(t, t.Context(), out, o); err != nil {
			t.Fatal(err)
		}
	}
	return s, o
}

// streams are the ways in which an archive may be written to a pipe.
func streams(t *testing.T) map[string]Output {
	t.Helper()
	gz, err := codec.Gzip(codec.Default)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]Output{
		"plain":             {Writer: io.Discard},
		"gzip":              {Writer: io.Discard, Codec: gz},
		"one member":        {Writer: io.Discard, Codec: gz, OneMember: true},
		"compressed layers": {Writer: io.Discard, LayerCodec: gz},
	}
}

func (s *hostStore) write(t *testing.T, ctx context.Context, out Output, o Options) error {
	t.Helper()
	plan, err := NewPlan(ctx, s.spec(t, changedSpec), o)
	if err != nil {
		t.Fatal(err)
	}
	_, err = plan.WriteArchive(ctx, out, o)
	return err
}

// A changer changes the store whenever a stage begins.
type changer map[string]func()

func (c changer) Stage(name string, _ int64) {
	if change := c[name]; change != nil {
		change()
	}
}
func (changer) Add(int64) {}
func (changer) Done()     {}

// TestLinksOfAChangingPath: files that are equal whenever they are compared, and are
// not when one is written as a link to the other.
func TestLinksOfAChangingPath(t *testing.T) {
	for how := range streams(t) {
		for _, verify := range []string{VerifyNone, VerifyMeta, VerifyFull} {
			h := newHistory(t, 0)
			h.o.ContentDedup, h.o.Verify = true, verify
			differ := func() { h.put(map[string]string{"bin/copy": "rum"}) }
			h.o.Progress = changer{PhaseScan: func() { h.put(h.files) }, "hash": differ, "pack": differ, "compress": differ}
			for _, o := range []Options{h.o, {Sources: h.o.Sources, Workers: 2, ContentDedup: true, Verify: verify, Progress: h.o.Progress}} {
				_, err := h.build(how, 0, o)
				if fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), string(h.infos[1].Path)) || fault.HintOf(err) == "" {
					t.Errorf("%s, verify %s, memo %v: %v", how, verify, o.Memo != nil, err)
				}
			}
		}
	}
}

// TestFullVerificationLooksAtDirectories changes what is in a store path, and no
// file that was there, when everything is remembered.
func TestFullVerificationLooksAtDirectories(t *testing.T) {
	changes := map[string]func(path string) error{
		"a file more":   func(path string) error { return os.WriteFile(filepath.Join(path, "share/new"), nil, 0o444) },
		"an executable": func(path string) error { return os.Chmod(filepath.Join(path, "share/doc"), 0o444) },
		"another link": func(path string) error {
			return errors.Join(os.Remove(filepath.Join(path, "share/doc")), os.Symlink("x", filepath.Join(path, "share/doc")))
		},
	}
	for name, change := range changes {
		for how, out := range streams(t) {
			s, o := warm(t, out)
			app := s.infos[1].Path
			if err := change(string(app)); err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			out.Writer = &got
			o.Verify = VerifyFull
			err := s.write(t, t.Context(), out, o)
			if fault.CodeOf(err) != fault.Integrity || !strings.Contains(err.Error(), string(app)) {
				t.Errorf("%s, %s: %v", name, how, err)
			}
			if got.Len() > 0 {
				t.Errorf("%s, %s: %d bytes are published", name, how, got.Len())
			}
		}
	}
}

// TestRootLayerIsNotTakenOnTrust: the root layer shows what is in store paths, so
// a change of theirs is one of its own, which no memo knows.
func TestRootLayerIsNotTakenOnTrust(t *testing.T) {
	for how, out := range streams(t) {
		s, o := warm(t, out)
		app := s.infos[1].Path
		if err := os.WriteFile(filepath.Join(string(app), "share/new"), nil, 0o444); err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		out.Writer = &got
		err := s.write(t, t.Context(), out, o)
		if fault.CodeOf(err) != fault.Integrity || !strings.Contains(err.Error(), string(app)) || got.Len() > 0 {
			t.Errorf("%s: %v, %d bytes are published", how, err, got.Len())
		}
		out.Writer, out.Path = nil, filepath.Join(t.TempDir(), "image")
		if err := s.write(t, t.Context(), out, o); fault.CodeOf(err) != fault.Integrity {
			t.Errorf("%s, to a file: %v", how, err)
		}
		if _, err := os.Stat(out.Path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: an archive is written", how)
		}
	}
}

// TestTouchedFileInAPipe: a file that was touched is read anew, and the pipe gets
// no byte twice.
func TestTouchedFileInAPipe(t *testing.T) {
	for how, out := range streams(t) {
		// Digests and scaffolds are known, compressed parts are not.
		s, o := warm(t, Output{Writer: io.Discard})
		var want, got bytes.Buffer
		out.Writer = &want
		if err := s.write(t, t.Context(), out, Options{Sources: o.Sources}); err != nil {
			t.Fatal(err)
		}
		for _, info := range s.infos {
			if info.Path.Name() == "zz-large" {
				touch(t, filepath.Join(string(info.Path), "share/large"))
			}
		}
		out.Writer = &got
		if err := s.write(t, t.Context(), out, o); err != nil || !bytes.Equal(got.Bytes(), want.Bytes()) {
			t.Errorf("%s: %v, %d bytes, want %d", how, err, got.Len(), want.Len())
		}

		out.Writer, out.Path = nil, filepath.Join(t.TempDir(), "fifo")
		if err := syscall.Mkfifo(out.Path, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, info := range s.infos {
			touch(t, filepath.Join(string(info.Path), firstFile[info.Path.Name()]))
		}
		read := make(chan []byte)
		go func() {
			b, _ := os.ReadFile(out.Path)
			read <- b
		}()
		if err := s.write(t, t.Context(), out, o); err != nil {
			t.Fatalf("%s, to a FIFO: %v", how, err) // it may never have been opened
		}
		if b := <-read; !bytes.Equal(b, want.Bytes()) {
			t.Errorf("%s, to a FIFO: %d bytes, want %d", how, len(b), want.Len())
		}
	}
}

// firstFile names a file of each object.
var firstFile = map[string]string{"lib": "lib/libx.so", "app": "bin/app", "tool": "bin/tool", "zz-large": "share/large"}

func touch(t *testing.T, file string) {
	t.Helper()
	if err := os.Chtimes(file, time.Unix(5, 0), time.Unix(time.Now().UnixNano()%1e6, 0)); err != nil {
		t.Fatal(err)
	}
}

// TestCancelEndsWaitingForAFIFO: nobody opens the FIFO, or nobody reads it.
func TestCancelEndsWaitingForAFIFO(t *testing.T) {
	for _, opened := range []bool{false, true} {
		s, o := warm(t)
		fifo := filepath.Join(t.TempDir(), "fifo")
		if err := syscall.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		if opened {
			reader, err := os.OpenFile(fifo, os.O_RDONLY|syscall.O_NONBLOCK, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close()
		}
		stop := errors.New("stop")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(100*time.Millisecond, func() { cancel(stop) })
		if err := s.write(t, ctx, Output{Path: fifo}, o); !errors.Is(err, stop) && !errors.Is(err, context.Canceled) {
			t.Errorf("opened %v: %v", opened, err)
		}
	}
}

// TestChangedStoreIsNoticed changes a file of a store path of which everything is
// remembered. One that was only touched gives the same image; one that is damaged
// is an error that names it. No wrong archive is ever written.
func TestChangedStoreIsNoticed(t *testing.T) {
	s := newHostStore(t)
	m, _ := openMemo(t, t.TempDir())
	o := s.options()
	o.Memo = m
	want := s.archiveBytes(t, codec.None(), o)
	file := filepath.Join(string(s.infos[1].Path), "bin/app")
	if err := os.Chtimes(file, time.Unix(5, 0), time.Unix(5, 0)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := s.archiveBytes(t, codec.None(), o); !bytes.Equal(got, want) {
			t.Error("a file that was touched gives other bytes")
		}
	}
	if err := errors.Join(os.Chmod(file, 0o755), os.WriteFile(file, []byte("RUN"), 0o755), os.Chmod(file, 0o555)); err != nil {
		t.Fatal(err)
	}
	plan, err := NewPlan(t.Context(), s.spec(t, `{"name":"x","tag":"1","contents":["@app","@tool"]}`), o)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "image")
	_, err = plan.WriteArchive(t.Context(), Output{Path: path}, o)
	if err == nil || fault.CodeOf(err) != fault.Integrity || !strings.Contains(err.Error(), string(s.infos[1].Path)) {
		t.Errorf("a damaged store path: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error("an archive of it is written")
	}
	var pipe bytes.Buffer
	_, err = plan.WriteArchive(t.Context(), Output{Writer: &pipe}, o)
	if fault.CodeOf(err) != fault.Integrity || !strings.Contains(err.Error(), string(s.infos[1].Path)) {
		t.Errorf("a damaged store path, to a pipe: %v", err)
	}
}

// TestCancelIsNoFaultOfTheCache: what a build is told while it waits for the cache
// is no news of the cache.
func TestCancelIsNoFaultOfTheCache(t *testing.T) {
	s := newHostStore(t)
	m, told := openMemo(t, t.TempDir())
	o := s.options()
	o.Memo = m
	plan, err := NewPlan(t.Context(), s.spec(t, `{"name":"x","contents":["@app"]}`), o)
	if err != nil {
		t.Fatal(err)
	}
	stop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stop)
	if _, err := plan.WriteArchive(ctx, Output{Path: filepath.Join(t.TempDir(), "image")}, o); !errors.Is(err, stop) || len(*told) > 0 {
		t.Errorf("%v, told %q", err, *told)
	}
}

// TestFullVerificationTrustsNothingRemembered: a build that verified nothing has
// remembered a damaged store path, which is mended since.
func TestFullVerificationTrustsNothingRemembered(t *testing.T) {
	for how, out := range streams(t) {
		s, o := warm(t)
		file := filepath.Join(string(s.infos[1].Path), "bin/app")
		put := func(text string) {
			if err := errors.Join(os.Chmod(file, 0o755), os.WriteFile(file, []byte(text), 0o555), os.Chtimes(file, time.Unix(5, 0), time.Unix(5, 0))); err != nil {
				t.Fatal(err)
			}
		}
		var want, damaged, got bytes.Buffer
		for _, build := range []struct {
			text   string
			into   *bytes.Buffer
			memo   *Memo
			verify string
		}{{"run", &want, nil, VerifyMeta}, {"ran", &damaged, o.Memo, VerifyMeta}, {"run", &got, o.Memo, VerifyFull}} {
			put(build.text)
			out.Writer = build.into
			if err := s.write(t, t.Context(), out, Options{Sources: o.Sources, Workers: 2, Memo: build.memo, Verify: build.verify}); err != nil {
				t.Fatal(err)
			}
		}
		if bytes.Equal(damaged.Bytes(), want.Bytes()) || !bytes.Equal(got.Bytes(), want.Bytes()) {
			t.Errorf("%s: what was damaged is taken from the cache", how)
		}
		var after bytes.Buffer
		out.Writer = &after
		if err := s.write(t, t.Context(), out, o); err != nil || !bytes.Equal(after.Bytes(), want.Bytes()) {
			t.Errorf("%s: the cache is not mended (%v)", how, err)
		}
	}
}
