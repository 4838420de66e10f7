package codec

import (
	"bytes"
	stdgzip "compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	kzstd "github.com/klauspost/compress/zstd"

	"terrine/tests/need"
)

// codecs are all that behave differently.
func codecs(t testing.TB) map[string]Codec {
	t.Helper()
	all := map[string]Codec{"none": None()}
	for level := Default; level <= 9; level++ {
		c, err := Gzip(level)
		if err != nil {
			t.Fatal(err)
		}
		all[c.ID()] = c
	}
	for _, level := range []int{Default, 1, 6, 10} {
		c, err := Zstd(level)
		if err != nil {
			t.Fatal(err)
		}
		all[c.ID()] = c
	}
	return all
}

// words makes n bytes of something like text, the same for every run.
func words(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	vocabulary := make([]string, 400)
	for i := range vocabulary {
		w := make([]byte, 2+r.IntN(9))
		for j := range w {
			w[j] = 'a' + byte(r.IntN(26)*r.IntN(26)/26)
		}
		vocabulary[i] = string(w)
	}
	var b bytes.Buffer
	for b.Len() < n {
		b.WriteString(vocabulary[r.IntN(1+r.IntN(len(vocabulary)))])
		b.WriteByte(" \n.  "[r.IntN(5)])
	}
	return b.Bytes()[:n]
}

// records makes n bytes like tables of machine words.
func records(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 2))
	b := make([]byte, 0, n+16)
	for i := 0; len(b) < n; i++ {
		b = append(b, byte(i), byte(i>>8), 0, 0, byte(r.IntN(4)), 0x48, 0x8b, byte(r.IntN(256)))
	}
	return b[:n]
}

func noise(n int, seed uint64) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed)}).Read(b)
	return b
}

// parts are inputs of every kind and of awkward sizes.
func parts() map[string][]byte {
	mixed := bytes.Join([][]byte{words(60_000, 1), noise(30_000, 1), make([]byte, 70_000), records(40_001, 1), words(99, 2)}, nil)
	return map[string][]byte{
		"empty": nil, "one byte": {7}, "three bytes": []byte("abc"), "a run": bytes.Repeat([]byte{9}, 1000),
		"short text": words(700, 3), "text": words(100_000, 4), "words": records(100_000, 5), "noise": noise(70_000, 6),
		"zeros": make([]byte, MaxPart), "full part": bytes.Repeat(words(MaxPart/4, 7), 4), "mixed": mixed,
		"64 KiB less one": noise(1<<16-1, 9), "64 KiB": noise(1<<16, 9), "64 KiB and one": noise(1<<16+1, 9),
	}
}

func encode(t testing.TB, c Codec, part []byte) []byte {
	t.Helper()
	e, err := c.newEncoder()
	if err != nil {
		t.Fatal(err)
	}
	out, err := e.encode(nil, part)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func decode(t testing.TB, c Codec, blob []byte) []byte {
	t.Helper()
	var r io.Reader = bytes.NewReader(blob)
	var err error
	switch c.algorithm {
	case gzip:
		r, err = stdgzip.NewReader(r)
	case zstd:
		r, err = kzstd.NewReader(r)
	}
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestRoundTrip(t *testing.T) {
	inputs := parts()
	for id, c := range codecs(t) {
		t.Run(id, func(t *testing.T) {
			e, err := c.newEncoder()
			if err != nil {
				t.Fatal(err)
			}
			var blob, whole []byte
			for name, part := range inputs {
				start := len(blob)
				if blob, err = e.encode(blob, part); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(decode(t, c, blob[start:]), part) {
					t.Errorf("%s: decoded member differs from part", name)
				}
				stored := c.Stored(nil, part)
				if !bytes.Equal(decode(t, c, stored), part) {
					t.Errorf("%s: decoded stored member differs from part", name)
				}
				blob = append(blob, stored...)
				whole = append(append(whole, part...), part...)
			}
			if !bytes.Equal(decode(t, c, blob), whole) {
				t.Error("decoded concatenation differs from the parts")
			}
		})
	}
}

// A part gives the same bytes whatever an encoder did before, and beside others.
func TestBytesDependOnPartOnly(t *testing.T) {
	inputs := parts()
	for id, c := range codecs(t) {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			want := map[string][]byte{}
			for _, name := range []string{"text", "words", "mixed", "empty", "64 KiB"} {
				want[name] = encode(t, c, inputs[name])
			}
			var workers sync.WaitGroup
			for range 2 {
				e, err := c.newEncoder()
				if err != nil {
					t.Fatal(err)
				}
				workers.Go(func() {
					for name := range want { // in another order each time
						got, err := e.encode(nil, inputs[name])
						if err != nil || !bytes.Equal(got, want[name]) {
							t.Errorf("%s: bytes differ with a used encoder (%v)", name, err)
						}
					}
				})
			}
			workers.Wait()
		})
	}
}

func TestStoredLength(t *testing.T) {
	for id, c := range codecs(t) {
		for _, n := range []int{0, 1, 512, 65535, 65536, 131072, 3 << 20} {
			a, b := c.Stored(nil, make([]byte, n)), c.Stored(nil, noise(n, 1))
			if len(a) != len(b) {
				t.Errorf("%s: %d zeros are stored in %d bytes, as much noise in %d", id, n, len(a), len(b))
			}
		}
	}
}

func TestLimits(t *testing.T) {
	for id, c := range codecs(t) {
		e, err := c.newEncoder()
		if err != nil {
			t.Fatal(err)
		}
		dst := []byte("before")
		if got, err := e.encode(dst, make([]byte, MaxPart+1)); err == nil || string(got) != "before" {
			t.Errorf("%s: a part of MaxPart+1 bytes: %d bytes, error %v", id, len(got), err)
		}
	}
	for _, level := range []int{-1, 10} {
		if _, err := Gzip(level); err == nil {
			t.Errorf("Gzip(%d): no error", level)
		}
	}
	for _, level := range []int{-1, 23} {
		if _, err := Zstd(level); err == nil {
			t.Errorf("Zstd(%d): no error", level)
		}
	}
}

// What newEncoder says of memory.
func TestEncoderMemory(t *testing.T) {
	limits := map[string]float64{"gzip-default": 2.4, "zstd-3": 4, "zstd-10": 37, "none": 0.01}
	part, dst := words(MaxPart, 3), make([]byte, 0, 2*MaxPart)
	for id, c := range codecs(t) {
		name, _, _ := strings.Cut(id, "-part")
		limit, ok := limits[name]
		if !ok {
			limit = 7
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		e, err := c.newEncoder()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.encode(dst, part); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if used := float64(after.TotalAlloc-before.TotalAlloc) / (1 << 20); used > limit {
			t.Errorf("%s: the first part allocates %.1f MiB, want at most %.1f", id, used, limit)
		}
	}
}

// The bytes are pinned: what was published under an ID must come out again.
// When this test fails, an encoder has changed: give it another version.
func TestGoldenBytes(t *testing.T) {
	var got strings.Builder
	all, inputs := codecs(t), parts()
	for _, id := range sortedKeys(all) {
		sum := sha256.New()
		length := 0
		encoder, err := all[id].newEncoder()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range sortedKeys(inputs) {
			member, err := encoder.encode(nil, inputs[name])
			if err != nil {
				t.Fatal(err)
			}
			length += len(member)
			sum.Write(member)
			sum.Write(all[id].Stored(nil, inputs[name][:min(len(inputs[name]), 100_000)]))
		}
		fmt.Fprintf(&got, "%s %d %s\n", id, length, hex.EncodeToString(sum.Sum(nil)))
	}
	const file = "testdata/golden.txt"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("encoded bytes changed; got\n%swant\n%s", got.String(), want)
	}
}

// The version in ID is that of the library in go.mod.
func TestVersions(t *testing.T) {
	mod, err := os.ReadFile("../../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{gzipVersion, zstdVersion} {
		_, number, _ := strings.Cut(version, "klauspost")
		if want := "github.com/klauspost/compress v" + number + "\n"; !strings.Contains(strings.ReplaceAll(string(mod), " // indirect", ""), want) {
			t.Errorf("go.mod does not require %q: encoded bytes may have changed, see TestGoldenBytes", want)
		}
	}
}

// What others use to unpack layers takes members and frames, concatenated.
func TestToolsDecode(t *testing.T) {
	gz, err := Gzip(Default)
	if err != nil {
		t.Fatal(err)
	}
	zs, err := Zstd(Default)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		codec Codec
		tool  []string
	}{{gz, []string{"gzip", "-dc"}}, {gz, []string{"pigz", "-dc"}}, {zs, []string{"zstd", "-dc"}}}
	for _, test := range tests {
		t.Run(test.tool[0], func(t *testing.T) {
			need.Programs(t, test.tool[0])
			var blob, want []byte
			for name, part := range parts() {
				blob = append(blob, encode(t, test.codec, part)...)
				blob = test.codec.Stored(blob, []byte(name))
				want = append(append(want, part...), name...)
			}
			cmd := exec.CommandContext(t.Context(), test.tool[0], test.tool[1:]...)
			cmd.Stdin = bytes.NewReader(blob)
			got, err := cmd.Output()
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%v: %d bytes, want %d; %v", test.tool, len(got), len(want), err)
			}
		})
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
