package store

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"terrine/store/nar"
)

func testPath(t testing.TB, name string) Path {
	t.Helper()
	p, err := ContentAddress{MethodText, digest.FromString(name)}.Path(DefaultDir, name, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A digest is found at every offset, for every split into three writes, after
// bytes of every kind; and found once.
func TestRefScannerFindsAtEveryOffsetAndSplit(t *testing.T) {
	p, other := testPath(t, "wanted"), testPath(t, "other")
	for _, fill := range []string{"\x00", "0", "z", "e", "/", p.Digest()[:1], p.Digest()[:31]} {
		for offset := range 70 {
			data := []byte(strings.Repeat(fill, offset/len(fill)+1)[:offset] + p.Digest() + strings.Repeat(fill, 40)[:40])
			for cut := range len(data) + 1 {
				for _, second := range []int{0, 1, 31, 32, 33} {
					s := NewRefScanner([]Path{other, p})
					next := min(cut+second, len(data))
					for _, part := range [][]byte{data[:cut], data[cut:next], data[next:]} {
						if n, err := s.Write(part); n != len(part) || err != nil {
							t.Fatalf("Write = %d, %v", n, err)
						}
					}
					if got := s.References(); !slices.Equal(got, []Path{p}) {
						t.Fatalf("fill %q, offset %d, cuts %d and %d: found %q", fill, offset, cut, next, got)
					}
				}
			}
		}
	}
}

func TestRefScannerWritesOfOneByte(t *testing.T) {
	p := testPath(t, "wanted")
	s := NewRefScanner([]Path{p})
	for _, c := range []byte("0123" + p.Digest() + "-wanted") {
		if _, err := s.Write([]byte{c}); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.References(); !slices.Equal(got, []Path{p}) {
		t.Errorf("found %q", got)
	}
}

func TestRefScannerFindsNothingElse(t *testing.T) {
	p := testPath(t, "wanted")
	d := p.Digest()
	for _, data := range []string{
		"", d[:31], d[1:], d[:16] + "\x00" + d[16:], strings.ToUpper(d), d[:31] + "e", "wanted", d[:4] + strings.Repeat("0", 40),
	} {
		s := NewRefScanner([]Path{p})
		if _, err := s.Write([]byte(data)); err != nil {
			t.Fatal(err)
		}
		if got := s.References(); len(got) != 0 {
			t.Errorf("in %q found %q", data, got)
		}
	}
}

// naive is the definition of a reference.
func naive(data []byte, candidates []Path) (found []Path) {
	for _, p := range candidates {
		if bytes.Contains(data, []byte(p.Digest())) {
			found = append(found, p)
		}
	}
	slices.Sort(found)
	return found
}

func FuzzRefScanner(f *testing.F) {
	var candidates []Path
	var all string
	for i := range 5 {
		candidates = append(candidates, testPath(f, fmt.Sprint(i)))
		all += candidates[i].Digest()
	}
	f.Add([]byte(all), uint16(0))
	f.Add([]byte("abc"+candidates[3].Digest()+"-x\x00\x00"+candidates[0].Digest()[:31]), uint16(7))
	f.Add([]byte(strings.Repeat("0", 31)+candidates[1].Digest()), uint16(33))
	f.Fuzz(func(t *testing.T, data []byte, step uint16) {
		s := NewRefScanner(candidates)
		for part := range slices.Chunk(data, int(step)+1) {
			if _, err := s.Write(part); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := s.References(), naive(data, candidates); !slices.Equal(got, want) {
			t.Errorf("found %q, want %q", got, want)
		}
	})
}

// Nix itself says which references it finds in a file with digests behind
// base-32 characters, in which other scanners miss them: it builds a path that
// is nothing but that text.
func TestRefScannerAgreesWithNixLive(t *testing.T) {
	dir := t.TempDir()
	env := []string{"NIX_STORE_DIR=" + dir + "/store", "NIX_STATE_DIR=" + dir + "/var", "NIX_LOG_DIR=" + dir + "/log"}
	t.Cleanup(func() { makeWritable(t, dir) })
	expr := `let
		dep = n: builtins.toFile n n;
		hash = p: builtins.substring (builtins.stringLength builtins.storeDir + 1) 32 "${p}";
		deps = map dep [ "a" "b" "c" "d" "e" ];
		at = i: hash (builtins.elemAt deps i);
	in derivation { name = "mentions"; system = builtins.currentSystem; builder = "/bin/sh"; inherit deps;
		args = [ "-c" "echo abc${at 0} 0${at 1}000 ${builtins.concatStringsSep "" (builtins.genList (_: "a") 31)}${at 2} ${at 3}${at 4} > $out" ]; }`
	drv := runNix(t, env, "nix-instantiate", "-E", expr)
	out := runNix(t, env, "nix-store", "--realise", drv)
	var candidates, want []Path
	for p := range strings.FieldsSeq(runNix(t, env, "nix-store", "-q", "--requisites", drv)) {
		candidates = append(candidates, Path(p))
	}
	for p := range strings.FieldsSeq(runNix(t, env, "nix-store", "-q", "--references", out)) {
		want = append(want, Path(p))
	}
	slices.Sort(want)
	s := NewRefScanner(candidates)
	if err := nar.Dump(context.Background(), s, out); err != nil {
		t.Fatal(err)
	}
	if got := s.References(); len(want) != 5 || !slices.Equal(got, want) {
		t.Errorf("found %q; nix has %q", got, want)
	}
}

func BenchmarkRefScanner(b *testing.B) {
	var candidates []Path
	for i := range 1000 {
		candidates = append(candidates, testPath(b, fmt.Sprint(i)))
	}
	random := make([]byte, 16<<20)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		b.Skip(err)
	}
	hexDump := []byte(strings.Repeat(string(digest.FromString("x").Encoded()), 1<<18))
	prose := bytes.Repeat([]byte("Comments say why a thing is so, not what is done; sentences are short. "), 1<<18)
	for name, data := range map[string][]byte{"random": random, "executable": self, "hex": hexDump, "prose": prose} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				s := NewRefScanner(candidates)
				for part := range slices.Chunk(data, 256<<10) {
					_, _ = s.Write(part)
				}
			}
		})
	}
}

// After Reset a scanner is as new: nothing of before is found or continued.
func TestRefScannerReset(t *testing.T) {
	const p = Path("/nix/store/00bgd045z0d4icpbc2yyz4gx48ak44la-a")
	s := NewRefScanner([]Path{p})
	for round := range 3 {
		for _, part := range []string{"x " + string(p[11:30]), string(p[30:])} {
			if _, err := s.Write([]byte(part)); err != nil {
				t.Fatal(err)
			}
		}
		if refs := s.References(); len(refs) != 1 || refs[0] != p {
			t.Fatalf("round %d: found %v", round, refs)
		}
		s.Reset()
		if _, err := s.Write([]byte(p[11:30])); err != nil {
			t.Fatal(err)
		}
		s.Reset()
		if _, err := s.Write([]byte(p[30:])); err != nil {
			t.Fatal(err)
		}
		if refs := s.References(); len(refs) != 0 {
			t.Fatalf("round %d: found %v across a reset", round, refs)
		}
		s.Reset()
	}
}
