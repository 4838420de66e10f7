package nar

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"terrine/tests/need"
)

// benchTrees makes the two trees that matter: many small files, and large ones.
func benchTrees(b *testing.B) map[string]string {
	b.Helper()
	dir := need.TempDir(b)
	m := maker{b, dir}
	for d := range 100 {
		m.mkdir(fmt.Sprintf("small/%03d", d))
		for f := range 100 {
			m.file(fmt.Sprintf("small/%03d/file-%03d", d, f), strings.Repeat("z", (f*613+d*131)%12000), 0o444)
		}
	}
	m.mkdir("large")
	for f := range 4 {
		m.file(fmt.Sprintf("large/%d", f), strings.Repeat("0123456789abcdef", 2<<20), 0o444)
	}
	return map[string]string{"small": dir + "/small", "large": dir + "/large"}
}

func BenchmarkDump(b *testing.B) {
	for name, tree := range benchTrees(b) {
		_, size, err := Hash(context.Background(), tree)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				if err := Dump(context.Background(), io.Discard, tree); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"-hashed", func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				if _, _, err := Hash(context.Background(), tree); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkExtract(b *testing.B) {
	for name, tree := range benchTrees(b) {
		nar := dump(b, tree)
		dst := need.TempDir(b) + "/dst"
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(nar)))
			b.ReportAllocs()
			for b.Loop() {
				if err := Extract(context.Background(), bytes.NewReader(nar), dst, nil); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				removeAll(b, dst)
				b.StartTimer()
			}
		})
		b.Run(name+"-read", func(b *testing.B) {
			b.SetBytes(int64(len(nar)))
			b.ReportAllocs()
			for b.Loop() {
				r := NewReader(bytes.NewReader(nar))
				var err error
				for err == nil {
					_, err = r.Next()
				}
				if err != io.EOF {
					b.Fatal(err)
				}
			}
		})
	}
}

func removeAll(b *testing.B, dst string) {
	b.Helper()
	parent, err := os.Open(dst + "/..")
	if err != nil {
		b.Fatal(err)
	}
	defer parent.Close()
	if err := remove(int(parent.Fd()), "dst"); err != nil {
		b.Fatal(err)
	}
}
