//go:build linux

package crash

import (
	"context"
	"os"
	"testing"
	"time"
)

// cuts is how often `make test` cuts the power, half of them on each kind of
// file system.
const cuts = 20

// disk makes a disk, not in memory: a loop device wants a file of a disk.
func disk(t *testing.T, kind string) *Disk {
	t.Helper()
	lab(t, "mkfs."+kind, "mount", "umount")
	dir, err := os.MkdirTemp("/var/tmp", "terrine-disk-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	d, err := NewDisk(t.Context(), kind, dir)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestCuts (F6, F7) cuts the power of ext4 and xfs while processes work on a store.
func TestCuts(t *testing.T) {
	for _, kind := range []string{"ext4", "xfs"} {
		t.Run(kind, func(t *testing.T) {
			seed := uint64(time.Now().UnixNano() / 1000)
			t.Logf("seed %d", seed)
			acknowledged, valid, wrong := cutMany(t, disk(t, kind), seed, cuts/2)
			t.Logf("%d cuts: %d paths acknowledged, %d valid", cuts/2, acknowledged, valid)
			for _, problem := range wrong {
				t.Error(problem)
			}
			if acknowledged == 0 {
				t.Error("no cut came after anything was acknowledged")
			}
		})
	}
}

func cutMany(t *testing.T, d *Disk, seed uint64, n int) (acknowledged, valid int, wrong []string) {
	t.Helper()
	for i := range n {
		// A cut is not to be stopped half way.
		r, err := d.Cut(context.WithoutCancel(t.Context()), CutOptions{Seed: seed + uint64(i), Workers: 3})
		if err != nil {
			t.Fatal(err)
		}
		acknowledged, valid = acknowledged+r.Acknowledged, valid+r.Valid
		wrong = append(wrong, r.Wrong...)
	}
	return acknowledged, valid, wrong
}

// TestCutsOfBtrfs (F8) cuts the power of btrfs.
func TestCutsOfBtrfs(t *testing.T) {
	seed := uint64(time.Now().UnixNano() / 1000)
	t.Logf("seed %d", seed)
	d := disk(t, "btrfs")
	acknowledged, valid, wrong := cutMany(t, d, seed, 4)
	t.Logf("4 cuts: %d paths acknowledged, %d valid", acknowledged, valid)
	for _, problem := range wrong {
		t.Error(problem)
	}
	// These cuts are noticed too.
	for seed := range uint64(10) {
		r, err := d.Cut(context.WithoutCancel(t.Context()), CutOptions{Seed: seed, Workers: 3, NoSync: true})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Wrong) > 0 {
			return
		}
	}
	t.Error("10 cuts without syncs did no harm")
}

// TestCutsAreNoticed: without syncs cuts do harm, or the tests above could not
// fail.
func TestCutsAreNoticed(t *testing.T) {
	d := disk(t, "ext4")
	for seed := range uint64(20) {
		r, err := d.Cut(context.WithoutCancel(t.Context()), CutOptions{Seed: seed, Workers: 3, NoSync: true})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Wrong) > 0 {
			return
		}
	}
	t.Error("20 cuts without syncs did no harm")
}
