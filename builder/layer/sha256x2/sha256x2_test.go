package sha256x2

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"
	"hash/crc32"
	"math/rand/v2"
	"testing"
)

// FuzzWrite2 holds two messages, cut anywhere, to what crypto/sha256 says.
func FuzzWrite2(f *testing.F) {
	f.Add(uint64(1), 0, 0, 1)
	f.Add(uint64(2), 4096, 4096, 64)
	f.Add(uint64(3), 10_000, 70_000, 4096)
	f.Add(uint64(4), 65_537, 65_536, 2048)
	f.Fuzz(func(t *testing.T, seed uint64, n, m, step int) {
		const most = 1 << 18
		n, m, step = n&(most-1), m&(most-1), max(1, step&(most-1))
		r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
		p, q := make([]byte, n), make([]byte, m)
		r.Read(p)
		r.Read(q)
		a, b := sha256.New(), sha256.New()
		for i := 0; i < max(n, m); i += step {
			Write2(a, p[min(i, n):min(i+step, n)], b, q[min(i, m):min(i+step, m)])
		}
		if want := sha256.Sum256(p); !bytes.Equal(a.Sum(nil), want[:]) {
			t.Errorf("a: %d bytes in steps of %d: %x, want %x", n, step, a.Sum(nil), want)
		}
		if want := sha256.Sum256(q); !bytes.Equal(b.Sum(nil), want[:]) {
			t.Errorf("b: %d bytes in steps of %d: %x, want %x", m, step, b.Sum(nil), want)
		}
	})
}

func TestWrite2OfMegabytes(t *testing.T) {
	r := rand.NewChaCha8([32]byte{})
	p, q := make([]byte, 1<<20), make([]byte, 3<<19)
	r.Read(p)
	r.Read(q)
	a, b := sha256.New(), sha256.New()
	var all [2][]byte
	for range 5 {
		Write2(a, p, b, q)
		all[0], all[1] = append(all[0], p...), append(all[1], q...)
	}
	for i, h := range []hash.Hash{a, b} {
		if want := sha256.Sum256(all[i]); !bytes.Equal(h.Sum(nil), want[:]) {
			t.Errorf("message %d: %x, want %x", i, h.Sum(nil), want)
		}
	}
}

// TestOtherHashes writes to hashes whose state is not known here.
func TestOtherHashes(t *testing.T) {
	p := bytes.Repeat([]byte("0123456789abcdef"), 1<<12)
	a, b := crc32.NewIEEE(), sha256.New224()
	Write2(a, p, b, p)
	if want := sha256.Sum224(p); a.Sum32() != crc32.ChecksumIEEE(p) || !bytes.Equal(b.Sum(nil), want[:]) {
		t.Errorf("%08x, %x", a.Sum32(), b.Sum(nil))
	}
}

func BenchmarkWrite2(b *testing.B) {
	p, q := make([]byte, 1<<20), make([]byte, 1<<20)
	for name, write := range map[string]func(x, y hash.Hash){
		"together": func(x, y hash.Hash) { Write2(x, p, y, q) },
		"in turn":  func(x, y hash.Hash) { x.Write(p); y.Write(q) },
	} {
		b.Run(fmt.Sprint(name), func(b *testing.B) {
			x, y := sha256.New(), sha256.New()
			b.SetBytes(2 << 20)
			for b.Loop() {
				write(x, y)
			}
		})
	}
}
