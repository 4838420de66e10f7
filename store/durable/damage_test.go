package durable_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"terrine/store/durable"
	"terrine/store/fault"
)

// damageCase changes the bytes of a database file.
type damageCase struct {
	name   string
	damage func(b []byte, r *rand.Rand) []byte
	always bool // must be noticed; the others may hit bytes that nothing uses
}

const page = 4096

var damageCases = []damageCase{
	{"emptied", func([]byte, *rand.Rand) []byte { return nil }, true},
	{"truncated to some bytes", func(b []byte, r *rand.Rand) []byte { return b[:1+r.IntN(page)] }, true},
	{"truncated in the middle", func(b []byte, r *rand.Rand) []byte { return b[:page*2+r.IntN(live(b)*page-page*2)] }, true},
	{"last page cut off", func(b []byte, _ *rand.Rand) []byte { return b[:(live(b)-1)*page] }, true},
	{"meta pages swapped", func(b []byte, _ *rand.Rand) []byte {
		return bytes.Join([][]byte{b[page : 2*page], b[:page], b[2*page:]}, nil)
	}, true},
	{"a meta page zeroed", func(b []byte, r *rand.Rand) []byte { return zero(b, r.IntN(2)) }, true},
	{"both meta pages zeroed", func(b []byte, _ *rand.Rand) []byte { return zero(zero(b, 0), 1) }, true},
	{"a meta page flipped", func(b []byte, r *rand.Rand) []byte { return flip(b, r, 16, 80) }, true},
	{"a page zeroed", func(b []byte, r *rand.Rand) []byte { return zero(b, 2+r.IntN(live(b)-2)) }, false},
	{"a page of noise", func(b []byte, r *rand.Rand) []byte {
		at := (2 + r.IntN(live(b)-2)) * page
		for i := range page {
			b[at+i] = byte(r.Uint32())
		}
		return b
	}, false},
	{"two pages swapped", func(b []byte, r *rand.Rand) []byte {
		i, j := (2+r.IntN(live(b)-2))*page, (2+r.IntN(live(b)-2))*page
		one, two := bytes.Clone(b[i:i+page]), bytes.Clone(b[j:j+page])
		copy(b[i:], two)
		copy(b[j:], one)
		return b
	}, false},
	{"a bit flipped", func(b []byte, r *rand.Rand) []byte { return flip(b, r, 2*page, live(b)*page) }, false},
	{"a bit of a page header flipped", func(b []byte, r *rand.Rand) []byte {
		at := (2 + r.IntN(live(b)-2)) * page
		return flip(b, r, at, at+32)
	}, false},
	{"another file", func(b []byte, r *rand.Rand) []byte {
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}, true},
}

// live is the number of pages in use, from the meta pages.
func live(b []byte) int {
	n := 0
	for i := range 2 {
		n = max(n, int(b[i*page+16+40])|int(b[i*page+16+41])<<8|int(b[i*page+16+42])<<16)
	}
	return n
}

func zero(b []byte, n int) []byte {
	clear(b[n*page : (n+1)*page])
	return b
}

func flip(b []byte, r *rand.Rand, from, to int) []byte {
	b[from+r.IntN(to-from)] ^= 1 << r.IntN(8)
	return b
}

// TestDamageIsNoticed damages databases in many ways. What is noticed must
// have the class and the hint; what is not must have done no harm.
func TestDamageIsNoticed(t *testing.T) {
	rounds := 8
	if testing.Short() {
		rounds = 5
	}
	for _, size := range []int{1, 3000} {
		whole := t.TempDir()
		db := openUnsynced(t, whole)
		fill(t, db, "a", size, 500)
		fill(t, db, "b", 3, 1)
		good, err := os.ReadFile(filepath.Join(whole, "db.bolt"))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range damageCases {
			noticed := 0
			for round := range rounds {
				r := rand.New(rand.NewPCG(uint64(size), uint64(round)))
				bad := c.damage(bytes.Clone(good), r)
				if bytes.Equal(bad, good) {
					continue
				}
				if tryDamaged(t, c, bad, size) {
					noticed++
				}
			}
			t.Logf("%d values, %s: noticed %d of %d", size, c.name, noticed, rounds)
		}
	}
}

// tryDamaged opens a database with the given bytes, reads and writes it, and
// reports whether the damage was noticed.
func tryDamaged(t *testing.T, c damageCase, bad []byte, size int) bool {
	t.Helper()
	dir := t.TempDir()
	openUnsynced(t, dir)
	file := filepath.Join(dir, "db.bolt")
	if err := os.WriteFile(file, bad, 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	got, err := useDamaged(ctx, dir, size)
	if err == nil {
		if c.always || got != size {
			t.Errorf("%s: not noticed: %d values of %d", c.name, got, size)
		}
		return false
	}
	if fault.CodeOf(err) != fault.StoreDamaged || fault.HintOf(err) != hint || strings.Contains(err.Error(), "goroutine") {
		t.Errorf("%s: error %q, class %d, hint %q; want class %d and the hint to rebuild",
			c.name, err, fault.CodeOf(err), fault.HintOf(err), fault.StoreDamaged)
	}
	if now, _ := os.ReadFile(file); !bytes.Equal(now, bad) {
		t.Errorf("%s: the damaged file was changed", c.name)
	}
	return true
}

func useDamaged(ctx context.Context, dir string, size int) (int, error) {
	db, err := durable.OpenDB(ctx, dir, unsynced())
	if err != nil {
		return 0, err
	}
	err = db.Update(ctx, func(tx *durable.Tx) error {
		if err := tx.Delete("a", key(size)); err != nil {
			return err
		}
		return tx.Put("b", key(99), value(99))
	})
	if err != nil {
		return 0, err
	}
	n, err := count(ctx, db, "a")
	return n, err
}

func TestMissingDatabaseIsNoNewOne(t *testing.T) {
	dir := t.TempDir()
	fill(t, openUnsynced(t, dir), "a", 10, 10)
	if err := os.Remove(filepath.Join(dir, "db.bolt")); err != nil {
		t.Fatal(err)
	}
	_, err := useDamaged(t.Context(), dir, 10)
	if fault.CodeOf(err) != fault.StoreDamaged || fault.HintOf(err) != hint {
		t.Errorf("use of a missing database = %v; want StoreDamaged with a hint", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "db.bolt")); !os.IsNotExist(err) {
		t.Errorf("stat of the missing database = %v; want it still missing", err)
	}
}

// TestDamageBehindTheCheck damages the file after it was checked, so that
// only the guard stands between bbolt and the process.
func TestDamageBehindTheCheck(t *testing.T) {
	for round := range 40 {
		dir := t.TempDir()
		db := openUnsynced(t, dir)
		fill(t, db, "a", 3000, 1000)
		file := filepath.Join(dir, "db.bolt")
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(7, uint64(round)))
		for range 8 {
			clear(b[(2+r.IntN(live(b)-2))*page:][:page])
		}
		if err := os.WriteFile(file, b, 0o644); err != nil {
			t.Fatal(err)
		}
		_, err = count(t.Context(), db, "a")
		if err == nil {
			continue
		}
		if fault.CodeOf(err) != fault.StoreDamaged {
			t.Errorf("round %d: %v; want class StoreDamaged", round, err)
		}
		// The lock must be free again.
		if err := db.View(t.Context(), func(*durable.Tx) error { return nil }); err != nil && fault.CodeOf(err) != fault.StoreDamaged {
			t.Errorf("round %d: next transaction: %v", round, err)
		}
	}
}
