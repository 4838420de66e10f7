package binarycache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"terrine/store"
	"terrine/store/compression"
	"terrine/store/fault"
)

// TestFaultsOutlived has a copy succeed in spite of them.
func TestFaultsOutlived(t *testing.T) {
	cases := []struct {
		name   string
		script []reply  // for the NAR of big
		ranges []string // that are asked for, one a request
		pauses []time.Duration
	}{
		{"nothing wrong", nil, []string{""}, nil},
		{"cut twice", []reply{cut(100_000), cut(50_000)}, []string{"", "bytes=100000-", "bytes=150000-"},
			[]time.Duration{125 * time.Millisecond, 125 * time.Millisecond}},
		{"cut before the first byte", []reply{cut(0), cut(0)}, []string{"", "", ""},
			[]time.Duration{125 * time.Millisecond, 250 * time.Millisecond}},
		{"stalls", []reply{stall(100_000)}, []string{"", "bytes=100000-"}, []time.Duration{125 * time.Millisecond}},
		{"stalls at once", []reply{stall(0)}, []string{"", ""}, []time.Duration{125 * time.Millisecond}},
		{"503 twice", times(2, code(503)), []string{"", "", ""},
			[]time.Duration{125 * time.Millisecond, 250 * time.Millisecond}},
		{"every code that passes", []reply{code(500), code(502), code(504), code(408)}, []string{"", "", "", "", ""},
			[]time.Duration{125 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second}},
		{"429 with seconds", []reply{code(429, "Retry-After: 7")}, []string{"", ""}, []time.Duration{7 * time.Second}},
		{"503 with a date", []reply{code(503, "Retry-After: Sun, 09 Sep 2001 01:47:10 GMT")}, []string{"", ""}, []time.Duration{30 * time.Second}},
		{"a server without ranges", []reply{cut(100_000), whole}, []string{"", "bytes=100000-"}, []time.Duration{125 * time.Millisecond}},
		{"all but the end of a file of unknown size", []reply{endless}, nil, []time.Duration{125 * time.Millisecond}},
		{"many cuts", times(12, cut(20_000)), nil, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, compression.Zstd)
			name := b.narOf(t, b.big)
			b.scripts[name] = c.script
			o := b.options(t)
			if strings.HasPrefix(c.name, "stalls") {
				o.Stall = 2 * time.Second
			}
			if err := b.fetch(t, o); err != nil {
				t.Fatal(err)
			}
			wellKept(t, b.store, 2)
			if c.ranges == nil {
				return
			}
			asked := b.asked(name)
			if len(asked) != len(c.ranges) {
				t.Fatalf("%d requests, want %d", len(asked), len(c.ranges))
			}
			for i, r := range asked {
				if got := r.Header.Get("Range"); got != c.ranges[i] && !strings.HasSuffix(c.name, "without ranges") {
					t.Errorf("request %d asks for %q, want %q", i, got, c.ranges[i])
				}
				if got := r.Header.Get("If-Range"); (got == `"one"`) != (c.ranges[i] != "") {
					t.Errorf("request %d has If-Range %q", i, got)
				}
			}
			if len(b.pauses) != len(c.pauses) {
				t.Fatalf("pauses %v, want %v", b.pauses, c.pauses)
			}
			for i, d := range b.pauses {
				if d != c.pauses[i] {
					t.Errorf("pauses %v, want %v", b.pauses, c.pauses)
					break
				}
			}
		})
	}
}

// TestFaults has a copy fail, with the class that becomes the exit code.
func TestFaults(t *testing.T) {
	const nar, info, cache = "nar", "narinfo", "nix-cache-info"
	cases := []struct {
		name   string
		of     string
		script []reply
		code   fault.Code
		words  string
	}{
		{"500 for ever", nar, times(9, code(500)), fault.Network, "500 Internal Server Error (after 6 attempts)"},
		{"cut for ever", nar, times(9, cut(0)), fault.Network, "after 6 attempts"},
		{"cut for ever, each time after some more bytes", nar, times(maxAttempts+1, cut(10)), fault.Network, fmt.Sprintf("after %d attempts", maxAttempts+1)},
		{"stalled for ever", nar, times(9, stall(0)), fault.Network, "nothing comes any more"},
		{"to be asked tomorrow", nar, times(1, code(503, "Retry-After: 86400")), fault.Network, "again after 24h0m0s only"},
		{"no such NAR", nar, times(1, code(404)), fault.Integrity, "which the cache does not have"},
		{"410", nar, times(1, code(410)), fault.Integrity, "which the cache does not have"},
		{"a part when all was asked for", nar, times(1, code(206, "Content-Range: bytes 5-9/10")), fault.Integrity, "wrong part"},
		{"416", nar, []reply{cut(1000), code(416, "Content-Range: bytes */1000")}, fault.Integrity, "has changed"},
		{"another part", nar, []reply{cut(1000), code(206, "Content-Range: bytes 1001-9/10")}, fault.Integrity, "wrong part"},
		{"another size", nar, []reply{cut(1000), code(206, "Content-Range: bytes 1000-1009/1010")}, fault.Integrity, "has changed"},
		{"401", nar, times(1, code(401)), fault.Auth, "401 Unauthorized"},
		{"403", info, times(1, code(403)), fault.Auth, "403 Forbidden"},
		{"407", cache, times(1, code(407)), fault.Auth, "407 Proxy"},
		{"418", nar, times(1, code(418)), fault.Network, "418"},
		{"a web page", nar, times(1, text("text/html; charset=utf-8", "<html>")), fault.Integrity, "web page"},
		{"a web page for a narinfo", info, times(1, text("Text/HTML", "<html>")), fault.Integrity, "web page"},
		{"encoded", nar, times(1, code(200, "Content-Encoding: gzip")), fault.Integrity, `encoded the file as "gzip"`},
		{"another file", nar, times(1, text("x/y", "something else")), fault.Integrity, "the file has 14 bytes"},
		{"a longer file", nar, times(1, text("x/y", strings.Repeat("x", 2*bigSize))), fault.Integrity, "longer than"},
		{"no narinfo", info, times(1, code(404)), fault.Failed, "not found"},
		{"no cache", cache, times(1, code(404)), fault.Refused, "no binary cache"},
		{"a cache of another store", cache, times(1, text("x/y", "StoreDir: /gnu/store\n")), fault.Refused, `"/gnu/store", not in /nix/store`},
		{"a nix-cache-info that says nothing", cache, times(1, text("x/y", "x\n")), fault.Refused, "no StoreDir"},
		{"an endless nix-cache-info", cache, times(1, text("x/y", strings.Repeat("x", maxCacheInfo+1))), fault.Refused, "more than"},
		{"an endless narinfo", info, times(1, text("x/y", strings.Repeat("x", maxInfo+1))), fault.Refused, "more than"},
		{"a broken narinfo", info, times(1, text("x/y", "x\n")), fault.Refused, "parse narinfo: line 1"},
		{"a redirect to a file", nar, times(1, code(302, "Location: file:///etc/passwd")), fault.Refused, "not HTTP"},
		{"a redirect to nowhere", nar, times(1, code(302)), fault.Refused, "leads to no URL"},
		{"a redirect to the cloud's secrets", nar, times(1, code(307, "Location: http://169.254.169.254/latest?x="+canary)), fault.Refused, "169.254.169.254"},
		{"redirects in a circle", nar, times(maxHops+2, code(301, "Location: ?")), fault.Network, "more than 5 redirects"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, compression.Zstd)
			suffix := map[string]string{nar: b.narOf(t, b.big), info: b.big.Path.Digest() + ".narinfo", cache: cache}[c.of]
			b.scripts[suffix] = c.script
			o := b.options(t)
			if strings.HasPrefix(c.name, "stalled") {
				o.Stall = 100 * time.Millisecond
			}
			b.fails(t, b.fetch(t, o), c.code, c.words)
			if err := b.fetch(t, o); err != nil && len(b.scripts[suffix]) == 0 {
				t.Errorf("again: %v", err)
			}
		})
	}
}

// TestDamagedNAR flips a bit of the file at many places, cuts it, and adds to
// it, in each format: nothing of it is published.
func TestDamagedNAR(t *testing.T) {
	for _, format := range []compression.Format{compression.None, compression.XZ, compression.Zstd} {
		t.Run(string(format), func(t *testing.T) {
			b := newBench(t, format)
			file := filepath.Join(b.dir, b.narOf(t, b.big))
			good, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			try := func(name string, bad []byte) {
				if err := os.WriteFile(file, bad, 0o644); err != nil {
					t.Fatal(err)
				}
				err := b.fetch(t, b.options(t))
				if fault.CodeOf(err) != fault.Integrity {
					t.Errorf("%s: %v", name, err)
				}
				b.fails(t, err, fault.Integrity, "the file")
			}
			for i := range 40 {
				at := i * (len(good) - 1) / 39
				bad := append([]byte(nil), good...)
				bad[at] ^= 0x10
				try(fmt.Sprintf("a bit of byte %d", at), bad)
			}
			try("nothing", nil)
			try("cut", good[:len(good)-1])
			try("more", append(append([]byte(nil), good...), 0))
		})
	}
}

// TestNARThatDoesNotEnd: of a small file that makes many bytes, no more are made
// than the narinfo announces. It says nothing of the file, as it may.
func TestNARThatDoesNotEnd(t *testing.T) {
	b := newBench(t, compression.Zstd)
	c, err := Open(t.Context(), b.URL, b.options(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	n, err := c.Info(t.Context(), b.big.Path)
	if err != nil {
		t.Fatal(err)
	}
	n.FileHash, n.FileSize = "", 0
	var bomb bytes.Buffer
	z, err := compression.NewWriter(compression.Zstd, &bomb)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(z, zeros{}, 64<<20); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(z.Close(), os.WriteFile(filepath.Join(b.dir, n.URL), bomb.Bytes(), 0o644)); err != nil {
		t.Fatal(err)
	}
	r := c.NAR(t.Context(), n)
	defer r.Close()
	made, err := io.Copy(io.Discard, r)
	if made > n.NARSize || fault.CodeOf(err) != fault.Integrity || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("%d bytes of %d announced, %v", made, n.NARSize, err)
	}
}

// TestDeadline ends a copy by its context while the server stands still.
func TestDeadline(t *testing.T) {
	b := newBench(t, compression.Zstd)
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stopped by hand")
	b.scripts[b.narOf(t, b.big)] = []reply{func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		cancel(stop)
		<-r.Context().Done()
	}}
	o := b.options(t)
	o.Stall = time.Hour
	c, err := Open(ctx, b.URL, o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Fetch(ctx, b.store, b.big.Path); !errors.Is(err, stop) && !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if len(b.pauses) > 0 {
		t.Errorf("pauses %v", b.pauses)
	}
}

// TestCollectMeanwhile collects garbage between the copies of two paths: the
// first, which nobody refers to yet, stays.
func TestCollectMeanwhile(t *testing.T) {
	b := newBench(t, compression.Zstd)
	root := filepath.Dir(filepath.Dir(b.store.RealDir()))
	other, err := store.Open(t.Context(), root, store.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	collected := make(chan error, 1)
	b.scripts[b.narOf(t, b.big)] = []reply{func(w http.ResponseWriter, r *http.Request, serve http.Handler) {
		_, err := other.Info(t.Context(), b.small.Path)
		if err == nil {
			_, err = other.GC(t.Context(), store.GCOptions{})
		}
		collected <- err
		serve.ServeHTTP(w, r)
	}}
	if err := b.fetch(t, b.options(t)); err != nil {
		t.Fatal(err)
	}
	if err := <-collected; err != nil {
		t.Fatal(err)
	}
	wellKept(t, b.store, 2)
}
