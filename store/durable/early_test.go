package durable

import (
	"bytes"
	"io"
	"os"
	"testing"
)

// TestEarly: what is read comes through as it is, with and without syncs, and
// the batch ends with nobody at work on it.
func TestEarly(t *testing.T) {
	want := bytes.Repeat([]byte("early "), 300_000)
	for _, noSync := range []bool{false, true} {
		b, err := NewBatch(Options{NoSync: noSync}, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		for range 20 { // of several readers, none of which reads enough alone
			got, err := io.ReadAll(b.Early(bytes.NewReader(want)))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("Early gives %d bytes, %v; want %d", len(got), err, len(want))
			}
		}
		if n := b.read.Load(); !noSync && wholeFilesystem && n >= int64(20*len(want)) {
			t.Errorf("the disk was not asked, with %d bytes read", n)
		}
		if err := b.Sync(); err != nil {
			t.Error(err)
		}
		if len(b.syncing) > 0 {
			t.Error("Sync has left a sync running")
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestEarlyError: the system tells of a failed write once. If an early sync was
// told, Sync must not forget it.
func TestEarlyError(t *testing.T) {
	if !wholeFilesystem {
		t.Skip("no early syncs on this system")
	}
	b, err := NewBatch(Options{}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir := b.dirs[0]
	if b.dirs[0], err = os.Open(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	b.dirs[0].Close()
	if !b.begin() {
		t.Fatal("begin did nothing")
	}
	b.syncing <- struct{}{}
	<-b.syncing
	b.dirs[0] = dir
	if err := b.Sync(); err == nil {
		t.Error("Sync = <nil> after an early sync had failed")
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}
