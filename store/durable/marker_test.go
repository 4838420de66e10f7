package durable_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"terrine/store/durable"
	"terrine/store/fault"
)

// newest opens a database that must not be an older one.
func newest(t *testing.T, dir string) *durable.DB {
	t.Helper()
	o := unsynced()
	o.Newest = true
	db, err := durable.OpenDB(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, dir, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// generations returns the database after 0 to n transactions, and the marker
// after each of them.
func generations(t *testing.T, dir string, n int) (dbs, markers [][]byte) {
	t.Helper()
	db := newest(t, dir)
	for i := range n + 1 {
		if i > 0 {
			fill(t, db, "a", i, i)
		}
		dbs, markers = append(dbs, read(t, dir, "db.bolt")), append(markers, read(t, dir, "db.exists"))
	}
	return dbs, markers
}

// TestOlderDatabase puts every older database and every older marker together.
func TestOlderDatabase(t *testing.T) {
	dir := t.TempDir()
	dbs, markers := generations(t, dir, 6)
	for i := range dbs {
		for j := range markers {
			write(t, dir, "db.bolt", dbs[i])
			write(t, dir, "db.exists", markers[j])
			n, err := count(t.Context(), newest(t, dir), "a")
			switch {
			case i < j && (fault.CodeOf(err) != fault.StoreDamaged || fault.HintOf(err) != hint):
				t.Errorf("database of generation %d, record of %d: %d values, %v; want class StoreDamaged and the hint", i, j, n, err)
			case i >= j && (err != nil || n != i):
				t.Errorf("database of generation %d, record of %d: %d values, %v", i, j, n, err)
			}
			if n, err := count(t.Context(), openUnsynced(t, dir), "a"); err != nil || n != i {
				t.Errorf("without Newest, generation %d: %d values, %v", i, n, err)
			}
		}
	}
}

// TestOlderMetaPage puts back the meta page before the last one, so that bbolt
// goes on from the transaction before the last.
func TestOlderMetaPage(t *testing.T) {
	dir := t.TempDir()
	dbs, _ := generations(t, dir, 5)
	last, before := dbs[5], dbs[4]
	undone := bytes.Clone(last)
	copy(undone[:2*page], before[:2*page])
	write(t, dir, "db.bolt", undone)
	if n, err := count(t.Context(), newest(t, dir), "a"); fault.CodeOf(err) != fault.StoreDamaged {
		t.Errorf("the last transaction undone: %d values, %v; want class StoreDamaged", n, err)
	}
}

// TestTornRecord: whatever a power cut may leave of a record, the database
// opens, and the next transaction puts the record right.
func TestTornRecord(t *testing.T) {
	dir := t.TempDir()
	dbs, markers := generations(t, dir, 3)
	good := markers[3]
	line := bytes.IndexByte(good, '\n') + 1
	torn := map[string][]byte{
		"none": good[:line], "cut off": good[:len(good)-1], "zeros": append(bytes.Clone(good[:line]), make([]byte, len(good)-line)...),
		"empty": {}, "half of another": append(append(bytes.Clone(good[:line]), []byte("00000000000000000009")...), good[line+20:]...),
	}
	for name, marker := range torn {
		write(t, dir, "db.bolt", dbs[3])
		write(t, dir, "db.exists", marker)
		db := newest(t, dir)
		if n, err := count(t.Context(), db, "a"); err != nil || n != 3 {
			t.Errorf("record %s: %d values, %v; want 3", name, n, err)
		}
		fill(t, db, "a", 4, 4)
		write(t, dir, "db.bolt", dbs[3])
		if _, err := count(t.Context(), newest(t, dir), "a"); fault.CodeOf(err) != fault.StoreDamaged {
			t.Errorf("record %s: after a transaction an older database gives %v; want class StoreDamaged", name, err)
		}
	}
}

// TestMarkerRemoved: it comes back with the next transaction.
func TestMarkerRemoved(t *testing.T) {
	dir := t.TempDir()
	generations(t, dir, 2)
	old := read(t, dir, "db.bolt")
	o := unsynced()
	o.Newest, o.MustExist = true, true
	db, err := durable.OpenDB(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "db.exists")); err != nil {
		t.Fatal(err)
	}
	fill(t, db, "a", 5, 5)
	write(t, dir, "db.bolt", old)
	if n, err := count(t.Context(), newest(t, dir), "a"); fault.CodeOf(err) != fault.StoreDamaged {
		t.Errorf("an older database: %d values, %v; want class StoreDamaged", n, err)
	}
}

// TestReplaceIsNewest: a database that replaces another is newer than all before
// it, also while its record is not written yet.
func TestReplaceIsNewest(t *testing.T) {
	dir := t.TempDir()
	dbs, markers := generations(t, dir, 5)
	write(t, dir, "db.bolt", dbs[2])
	db := newest(t, dir)
	replace := func(ctx context.Context) error {
		return db.Replace(ctx, func(tx *durable.Tx) error { return tx.Put("a", key(0), value(0)) })
	}
	if err := replace(t.Context()); err != nil {
		t.Fatal(err)
	}
	replaced := read(t, dir, "db.bolt")
	if n, err := count(t.Context(), db, "a"); err != nil || n != 1 {
		t.Errorf("after Replace: %d values, %v; want 1", n, err)
	}
	write(t, dir, "db.bolt", dbs[5])
	if n, err := count(t.Context(), newest(t, dir), "a"); fault.CodeOf(err) != fault.StoreDamaged {
		t.Errorf("the database that was replaced: %d values, %v; want class StoreDamaged", n, err)
	}
	write(t, dir, "db.bolt", replaced)
	write(t, dir, "db.exists", markers[5])
	if n, err := count(t.Context(), newest(t, dir), "a"); err != nil || n != 1 {
		t.Errorf("replaced, but not on record yet: %d values, %v; want 1", n, err)
	}
}
