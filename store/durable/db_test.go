package durable_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"terrine/store/durable"
	"terrine/store/fault"
)

const hint = "run: terrine store rebuild"

func dbOptions() durable.DBOptions {
	return durable.DBOptions{
		Schema: durable.Schema{Name: "test", Version: 1},
		What:   "the test index",
		Hint:   hint,
	}
}

// unsynced are options for what need not survive a power cut.
func unsynced() durable.DBOptions {
	o := dbOptions()
	o.NoSync = true
	return o
}

func openUnsynced(t *testing.T, dir string) *durable.DB {
	t.Helper()
	db, err := durable.OpenDB(t.Context(), dir, unsynced())
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func openDB(t *testing.T, dir string) *durable.DB {
	t.Helper()
	db, err := durable.OpenDB(t.Context(), dir, dbOptions())
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// fill puts n values of some size into a bucket, in transactions of step.
func fill(t *testing.T, db *durable.DB, bucket string, n, step int) {
	t.Helper()
	for i := 0; i < n; i += step {
		err := db.Update(t.Context(), func(tx *durable.Tx) error {
			for j := i; j < min(i+step, n); j++ {
				if err := tx.Put(bucket, key(j), value(j)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func key(i int) []byte   { return fmt.Appendf(nil, "key-%06d", i) }
func value(i int) []byte { return []byte(strings.Repeat(fmt.Sprintf("value %d;", i), i%40)) }

// count reads every value of a bucket and compares it.
func count(ctx context.Context, db *durable.DB, bucket string) (int, error) {
	n := 0
	err := db.View(ctx, func(tx *durable.Tx) error {
		return tx.Scan(bucket, nil, func(k, v []byte) error {
			var i int
			fmt.Sscanf(string(k), "key-%d", &i)
			if string(v) != string(value(i)) {
				return fmt.Errorf("value of %s is %q", k, v)
			}
			n++
			return nil
		})
	})
	return n, err
}

func TestDBKeepsWhatItWasGiven(t *testing.T) {
	dir := t.TempDir()
	db := openDB(t, dir)
	fill(t, db, "a", 1000, 100)
	fill(t, db, "b", 7, 1)
	again := openDB(t, dir)
	for bucket, want := range map[string]int{"a": 1000, "b": 7, "none": 0} {
		if got, err := count(t.Context(), again, bucket); got != want || err != nil {
			t.Errorf("count(%q) = %d, %v; want %d, <nil>", bucket, got, err, want)
		}
	}
	err := again.Update(t.Context(), func(tx *durable.Tx) error {
		for i := range 990 {
			if err := tx.Delete("a", key(i)); err != nil {
				return err
			}
		}
		return tx.Delete("none", key(1))
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := count(t.Context(), openDB(t, dir), "a"); got != 10 || err != nil {
		t.Errorf("count after deletion = %d, %v; want 10, <nil>", got, err)
	}
}

func TestTxGetTellsEmptyFromAbsent(t *testing.T) {
	db := openDB(t, t.TempDir())
	err := db.Update(t.Context(), func(tx *durable.Tx) error {
		if err := tx.Put("a", []byte("empty"), nil); err != nil {
			return err
		}
		v, err := tx.Get("a", []byte("empty"))
		if v == nil || len(v) != 0 || err != nil {
			t.Errorf("Get(empty) = %v, %v; want no bytes, not nil", v, err)
		}
		v, err = tx.Get("a", []byte("absent"))
		if v != nil || err != nil {
			t.Errorf("Get(absent) = %v, %v; want nil, <nil>", v, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestScanGivesPrefixInOrder(t *testing.T) {
	db := openDB(t, t.TempDir())
	fill(t, db, "a", 300, 300)
	var got []string
	err := db.View(t.Context(), func(tx *durable.Tx) error {
		return tx.Scan("a", []byte("key-0001"), func(k, _ []byte) error {
			got = append(got, string(k))
			return nil
		})
	})
	if err != nil || len(got) != 100 || got[0] != "key-000100" || got[99] != "key-000199" {
		t.Errorf("Scan gave %d keys %v, %v; want key-000100 to key-000199", len(got), got, err)
	}
}

// TestScanGivesKeysAway: whatever is done to a key and to what lies behind it in memory,
// the scan goes on behind the key, and has no use for that memory any more.
func TestScanGivesKeysAway(t *testing.T) {
	db := openUnsynced(t, t.TempDir())
	fill(t, db, "a", 300, 300)
	var kept []string
	var longer [][]byte
	err := db.View(t.Context(), func(tx *durable.Tx) error {
		return tx.Scan("a", nil, func(k, _ []byte) error {
			kept = append(kept, string(k))
			longer = append(longer, append(k, 'x'))
			k[0] = 'z'
			return nil
		})
	})
	if err != nil || len(kept) != 300 {
		t.Errorf("Scan gave %d keys, %v; want 300", len(kept), err)
	}
	for i, b := range longer {
		if want := "z" + kept[i][1:] + "x"; string(b) != want {
			t.Errorf("what was made of %s has become %q; want %q", kept[i], b, want)
		}
	}
}

func TestUpdateWithErrorLeavesNoTrace(t *testing.T) {
	db := openDB(t, t.TempDir())
	mine := errors.New("mine")
	err := db.Update(t.Context(), func(tx *durable.Tx) error {
		if err := tx.Put("a", key(1), value(1)); err != nil {
			return err
		}
		return mine
	})
	if err != mine {
		t.Errorf("Update = %v; want the error of its function, unchanged", err)
	}
	if got, err := count(t.Context(), db, "a"); got != 0 || err != nil {
		t.Errorf("count = %d, %v; want 0, <nil>", got, err)
	}
}

func TestUpdatePassesPanicOnAndUnlocks(t *testing.T) {
	db := openDB(t, t.TempDir())
	func() {
		defer func() {
			if recover() != "mine" {
				t.Error("the panic of the function did not come through")
			}
		}()
		db.Update(t.Context(), func(*durable.Tx) error { panic("mine") })
	}()
	fill(t, db, "a", 1, 1)
}

func TestConcurrentTransactions(t *testing.T) {
	dir := t.TempDir()
	openDB(t, dir)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			db := openDB(t, dir)
			for i := range 20 {
				err := db.Update(t.Context(), func(tx *durable.Tx) error {
					return tx.Put("a", key(w*20+i), value(w*20+i))
				})
				if err != nil {
					t.Error(err)
				}
				if _, err := count(t.Context(), db, "a"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got, err := count(t.Context(), openDB(t, dir), "a"); got != 160 || err != nil {
		t.Errorf("count = %d, %v; want 160, <nil>", got, err)
	}
}

func TestViewWaitsAndSaysForWhom(t *testing.T) {
	dir := t.TempDir()
	openDB(t, dir)
	l, err := durable.AcquireLock(t.Context(), filepath.Join(dir, "db.lock"), durable.Exclusive, "it", durable.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release()
	o := dbOptions()
	o.Timeout = time.Nanosecond // over when it first looks, as on a machine that is busy
	var said []string
	o.Waiting = func(what string, pid int) { said = append(said, fmt.Sprint(what, " ", pid)) }
	db, err := durable.OpenDB(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	err = db.View(t.Context(), func(*durable.Tx) error { return nil })
	if fault.CodeOf(err) != fault.Busy || !strings.Contains(err.Error(), "the test index") {
		t.Errorf("View = %v; want class Busy naming the index", err)
	}
	want := fmt.Sprint("the test index ", os.Getpid())
	if len(said) != 1 || said[0] != want {
		t.Errorf("Waiting was called with %q; want once %q", said, want)
	}
}

func TestSchemaOfAnotherVersionIsRefused(t *testing.T) {
	dir := t.TempDir()
	openDB(t, dir)
	for _, test := range []struct {
		schema durable.Schema
		want   string
	}{
		{durable.Schema{Name: "test", Version: 0}, "made by a newer terrine (schema 1; this one knows 0)"},
		{durable.Schema{Name: "test", Version: 2}, "made by an older terrine"},
		{durable.Schema{Name: "other", Version: 1}, `a database of "test", not of "other"`},
	} {
		o := dbOptions()
		o.Schema = test.schema
		db, err := durable.OpenDB(t.Context(), dir, o)
		if err == nil {
			err = db.View(t.Context(), func(*durable.Tx) error { return nil })
		}
		if err == nil || !strings.Contains(err.Error(), test.want) || fault.CodeOf(err) != fault.StoreDamaged {
			t.Errorf("View with schema %v = %v; want StoreDamaged with %q", test.schema, err, test.want)
		}
	}
}

func TestReadOnlyDirectoryCanBeRead(t *testing.T) {
	dir := t.TempDir()
	db := openDB(t, dir)
	fill(t, db, "a", 10, 10)
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o755)
	if got, err := count(t.Context(), openDB(t, dir), "a"); got != 10 || err != nil {
		t.Errorf("count = %d, %v; want 10, <nil>", got, err)
	}
}
