package durable

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"terrine/store/fault"
)

// FuzzCheck gives check files that are nearly good, and wants it to end
// without a panic, whatever it finds.
func FuzzCheck(f *testing.F) {
	for _, n := range []int{0, 1, 500} {
		f.Add(smallDatabase(f, n), uint32(0), byte(0))
	}
	f.Add([]byte{}, uint32(0), byte(0))
	f.Fuzz(func(t *testing.T, b []byte, at uint32, value byte) {
		if len(b) > 0 {
			b = bytes.Clone(b)
			b[int(at)%len(b)] ^= value
		}
		err := check(bytes.NewReader(b), int64(len(b)), true)
		if err != nil && fault.CodeOf(err) != fault.StoreDamaged {
			t.Errorf("check = %v; want class StoreDamaged", err)
		}
	})
}

// smallDatabase returns the used pages of a database with n values.
func smallDatabase(tb testing.TB, n int) []byte {
	tb.Helper()
	dir := tb.TempDir()
	ctx := tb.Context()
	db, err := OpenDB(ctx, dir, DBOptions{Options: Options{NoSync: true}, Schema: Schema{Name: "test", Version: 1}})
	if err != nil {
		tb.Fatal(err)
	}
	err = db.Update(ctx, func(tx *Tx) error {
		for i := range n {
			if err := tx.Put("a", []byte{'k', byte(i >> 8), byte(i)}, bytes.Repeat([]byte("v"), i%50)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, dbName))
	if err != nil {
		tb.Fatal(err)
	}
	meta, err := readMetas(bytes.NewReader(b))
	if err != nil {
		tb.Fatal(err)
	}
	return b[:meta.pages*uint64(meta.pageSize)]
}

func TestCheckPassesWhatBboltWrites(t *testing.T) {
	for _, n := range []int{0, 1, 2, 100, 500, 3000} {
		b := smallDatabase(t, n)
		if err := check(bytes.NewReader(b), int64(len(b)), true); err != nil {
			t.Errorf("check of a database of %d values = %v; want <nil>", n, err)
		}
	}
}

// TestCheckPassesEveryHistory: whatever was put and deleted, and however
// large, check must find nothing wrong.
func TestCheckPassesEveryHistory(t *testing.T) {
	dir := t.TempDir()
	o := DBOptions{Options: Options{NoSync: true}, Schema: Schema{Name: "test", Version: 1}}
	r := rand.New(rand.NewPCG(1, 2))
	buckets := []string{"a", "b", "c"}
	for round := range 150 {
		db, err := OpenDB(t.Context(), dir, o)
		if err != nil {
			t.Fatal(err)
		}
		err = db.Update(t.Context(), func(tx *Tx) error {
			bucket := buckets[r.IntN(len(buckets))]
			if r.IntN(10) == 0 { // empty it
				return tx.Scan(bucket, nil, func(key, _ []byte) error { return tx.Delete(bucket, key) })
			}
			for range r.IntN(300) {
				key := fmt.Appendf(nil, "%0*d", 1+r.IntN(60), r.IntN(2000))
				if r.IntN(3) == 0 {
					if err := tx.Delete(bucket, key); err != nil {
						return err
					}
				} else if err := tx.Put(bucket, key, make([]byte, r.IntN(1<<r.IntN(15)))); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if err := checkFile(filepath.Join(dir, dbName), true); err != nil {
			t.Fatalf("round %d: check = %v; want <nil>", round, err)
		}
	}
}
