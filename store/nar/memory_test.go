package nar

import (
	"context"
	"io"
	"os"
	"runtime"
	"testing"

	"terrine/tests/need"
)

// Neither way takes memory for what is in files.
func TestMemoryDoesNotGrowWithBytes(t *testing.T) {
	const size, most = 128 << 20, 2 << 20
	dir := need.TempDir(t)
	m := maker{t, dir}
	m.file("sparse", "", 0o644)
	m.truncate("sparse", size)
	if got := allocated(func() { m.check(Dump(context.Background(), io.Discard, dir+"/sparse")) }); got > most {
		t.Errorf("Dump of %d bytes allocated %d", size, got)
	}
	pr, pw, err := os.Pipe()
	m.check(err)
	dumped := make(chan error)
	go func() {
		err := Dump(context.Background(), pw, dir+"/sparse")
		pw.Close()
		dumped <- err
	}()
	if got := allocated(func() { m.check(Extract(context.Background(), pr, dir+"/dst", nil)) }); got > most {
		t.Errorf("Extract of %d bytes allocated %d", size, got)
	}
	m.check(<-dumped)
	if info, err := os.Stat(dir + "/dst"); err != nil || info.Size() != size {
		t.Errorf("extracted: %v, %v", info, err)
	}
}

// allocated returns the bytes that f allocates, whether or not they are
// collected meanwhile.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
