package durable

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"terrine/tests/need"
)

func TestReserveAndWriteAt(t *testing.T) {
	target := filepath.Join(t.TempDir(), "file")
	f, err := Create(target, 0o644, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Discard()
	a, b := bytes.Repeat([]byte("a"), aheadSize), bytes.Repeat([]byte("b"), 10)
	if err := f.Reserve(int64(len(a) + len(b))); err != nil {
		t.Fatal(err)
	}
	for off, p := range map[int64][]byte{0: a, aheadSize: b} {
		if n, err := f.WriteAt(p, off); n != len(p) || err != nil {
			t.Fatalf("WriteAt returns %d, %v", n, err)
		}
	}
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(target); err != nil || !bytes.Equal(got, append(a, b...)) {
		t.Errorf("%d bytes that are not what was written (%v)", len(got), err)
	}
}

func TestWriteInOrder(t *testing.T) {
	target := filepath.Join(t.TempDir(), "file")
	f, err := Create(target, 0o644, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Discard()
	var want []byte
	for i := range 40 {
		p := bytes.Repeat([]byte{byte(i)}, 100_000+i)
		want = append(want, p...)
		if n, err := f.Write(p); n != len(p) || err != nil {
			t.Fatalf("Write returns %d, %v", n, err)
		}
	}
	if f.asked == 0 || f.asked > f.written || f.written != int64(len(want)) {
		t.Errorf("the disk was asked for %d of %d bytes", f.asked, f.written)
	}
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(target); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes that are not what was written (%v)", len(got), err)
	}
}

func TestReserveMoreThanThereIs(t *testing.T) {
	f, err := Create(filepath.Join(t.TempDir(), "file"), 0o644, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Discard()
	if err := f.Reserve(1 << 50); err == nil {
		need.Lacking(t, "the filesystem promises a pebibyte")
	}
}
