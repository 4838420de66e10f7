package binarycache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"terrine/store"
	"terrine/store/compression"
	"terrine/store/durable"
	"terrine/store/fault"
)

// canary is a secret that must not be seen anywhere but in requests to the
// cache itself.
const canary = "canary-7fd1"

// reply answers one request; serve is what an honest server does.
type reply func(w http.ResponseWriter, r *http.Request, serve http.Handler)

// server is a cache behind HTTP that does as it is told: of the requests for a
// file the first get the replies of its script, and the others the file.
type server struct {
	*httptest.Server
	mu       sync.Mutex
	scripts  map[string][]reply // by the ending of the path
	requests []*http.Request
}

func newServer(t *testing.T, dir string) *server {
	t.Helper()
	s := &server{scripts: map[string][]reply{}}
	files := http.FileServer(http.Dir(dir))
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if next := s.next(r); next != nil {
			next(w, r, files)
			return
		}
		w.Header().Set("ETag", `"one"`)
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// next notes a request and takes its reply from the script.
func (s *server) next(r *http.Request) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r)
	for suffix, script := range s.scripts {
		if strings.HasSuffix(r.URL.Path, suffix) && len(script) > 0 {
			s.scripts[suffix] = script[1:]
			return script[0]
		}
	}
	return nil
}

// asked returns the requests for files with an ending.
func (s *server) asked(suffix string) []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*http.Request
	for _, r := range s.requests {
		if strings.HasSuffix(r.URL.Path, suffix) {
			list = append(list, r)
		}
	}
	return list
}

// cut sends n bytes of the file, from where it is asked for, and breaks the
// connection.
func cut(n int) reply {
	return func(w http.ResponseWriter, r *http.Request, serve http.Handler) {
		w.Header().Set("ETag", `"one"`)
		serve.ServeHTTP(&limited{w, n}, r)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

type limited struct {
	http.ResponseWriter
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	if len(p) > l.left {
		n, err := l.ResponseWriter.Write(p[:l.left])
		l.left = 0
		return n, errors.Join(err, io.ErrShortWrite)
	}
	l.left -= len(p)
	return l.ResponseWriter.Write(p)
}

// endless sends all of the file, whose size it does not say, but not its end.
func endless(w http.ResponseWriter, r *http.Request, serve http.Handler) {
	w.Header().Set("ETag", `"one"`)
	serve.ServeHTTP(sizeless{w}, r)
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

type sizeless struct{ http.ResponseWriter }

func (s sizeless) WriteHeader(code int) {
	s.Header().Del("Content-Length")
	s.ResponseWriter.WriteHeader(code)
}

// stall sends n bytes of the file and then nothing until the client goes.
func stall(n int) reply {
	return func(w http.ResponseWriter, r *http.Request, serve http.Handler) {
		w.Header().Set("ETag", `"one"`)
		serve.ServeHTTP(&limited{w, n}, r)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}

// code answers with a code and headers, "Name: value".
func code(n int, headers ...string) reply {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			w.Header().Set(name, value)
		}
		w.WriteHeader(n)
		fmt.Fprint(w, "no words of the server are shown")
	}
}

// text answers with something else than the file.
func text(kind, body string) reply {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", kind)
		fmt.Fprint(w, body)
	}
}

// whole ignores that a part was asked for.
func whole(w http.ResponseWriter, r *http.Request, serve http.Handler) {
	r.Header.Del("Range")
	serve.ServeHTTP(w, r)
}

func times(n int, r reply) []reply {
	var list []reply
	for range n {
		list = append(list, r)
	}
	return list
}

// bench is a cache of two paths, the larger of 300,000 bytes that cannot be
// compressed, signed, and what reads it.
type bench struct {
	*server
	dir   string
	big   *store.Info // refers to small
	small *store.Info
	store *store.Store

	mu     sync.Mutex
	pauses []time.Duration
}

const bigSize = 300_000

func newBench(t *testing.T, format compression.Format) *bench {
	t.Helper()
	ctx := t.Context()
	from, files := newStore(t), t.TempDir()
	write := func(name string, text []byte) string {
		file := filepath.Join(files, name)
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	b := &bench{dir: filepath.Join(t.TempDir(), "cache"), store: newStore(t)}
	var err error
	if b.small, err = from.Add(ctx, write("small", []byte("small\n")), store.AddOptions{}); err != nil {
		t.Fatal(err)
	}
	noise := []byte(string(b.small.Path) + "\n")
	for x := uint64(1); len(noise) < bigSize; { // a xorshift generator: noise, the same every time
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		noise = append(noise, byte(x>>32))
	}
	if b.big, err = from.Add(ctx, write("big", noise), store.AddOptions{}); err != nil {
		t.Fatal(err)
	}
	secret, err := ParseSecretKey(golden(t, "test-1.secret"))
	if err != nil {
		t.Fatal(err)
	}
	w, err := Create(ctx, b.dir, WriteOptions{Compression: format, Key: secret, Durable: durable.Options{NoSync: true}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.addAll(ctx, []*store.Info{b.big, b.small}, from.Dump); err != nil {
		t.Fatal(err)
	}
	b.server = newServer(t, b.dir)
	return b
}

// narOf returns the ending of the URL of a NAR.
func (b *bench) narOf(t *testing.T, info *store.Info) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(b.dir, info.Path.Digest()+".narinfo"))
	if err != nil {
		t.Fatal(err)
	}
	n, err := parseNarinfo(store.DefaultDir, text)
	if err != nil {
		t.Fatal(err)
	}
	return n.URL
}

// options are those of a client that waits for nothing.
func (b *bench) options(t *testing.T) Options {
	return Options{
		Keys:  testKeys(t),
		Stall: time.Minute, // more than a busy machine takes for anything
		Rand:  zeros{},
		Now:   func() time.Time { return time.Unix(1_000_000_000, 0) },
		Sleep: func(ctx context.Context, d time.Duration) error {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.pauses = append(b.pauses, d)
			return ctx.Err()
		},
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// fetch copies big and what it refers to.
func (b *bench) fetch(t *testing.T, o Options) error {
	t.Helper()
	c, err := Open(t.Context(), b.URL, o)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Fetch(t.Context(), b.store, b.big.Path)
	return err
}

// fails tests that a copy failed with a class and words, and left nothing of
// big.
func (b *bench) fails(t *testing.T, err error, code fault.Code, words string) {
	t.Helper()
	if err == nil || fault.CodeOf(err) != code || !strings.Contains(err.Error(), words) {
		t.Errorf("error %v of class %d: want %q of class %d", err, fault.CodeOf(err), words, code)
	}
	if err != nil && (strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), "no words of the server")) {
		t.Errorf("the error shows what it should not: %v", err)
	}
	if _, err := b.store.Info(t.Context(), b.big.Path); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the path is in the store: %v", err)
	}
	entries, err := os.ReadDir(b.store.RealDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != b.small.Path.Base() {
			t.Errorf("left in the store: %s", e.Name())
		}
	}
}
