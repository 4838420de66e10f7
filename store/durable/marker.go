package durable

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
)

// This file keeps what stands beside a database to say that it is lost. The
// marker has the schema, as in the database, in one line. With DBOptions.Newest
// there is a second one of fixed length, the record:
//
//	GENERATION SUM
//
// GENERATION, in decimal, is the number of the last transaction known to be on
// disk, which the database has too; SUM is its CRC-32C. A database with a
// smaller number is an older one.
//
// The record is written in place after every commit, and no sync waits for it.
// So after a crash it may be too small, which is as if an older database were
// taken for good, or torn, which is as if there were none; but it is never too
// large, and no crash needs repair. A database that replaces another has a larger
// number, so it may have its name before the record is written.
const (
	recordFormat = "%020d %08x\n"
	recordSize   = 20 + 1 + 8 + 1
)

// replacedBy is how much larger the generation of a database is than the record
// of the one that it replaces, so that it is larger also than that of commits
// that the record has missed.
const replacedBy = 1 << 20

// generationKey is where a database has its generation, in systemBucket.
var generationKey = []byte("generation")

// ensure creates the database unless it exists. The file gets its name when
// it is complete, and the marker is written after that: so a marker without a
// file is a loss, and a file without a marker a creation that was cut short.
func (db *DB) ensure(ctx context.Context) error {
	made, err := exists(db.path(markerName))
	if err == nil && !made {
		err = os.MkdirAll(db.dir, 0o755)
	}
	if made || err != nil {
		return db.name("open", err)
	}
	l, err := AcquireLock(ctx, db.path(lockName), Exclusive, db.o.What, db.o.Options)
	if err != nil {
		return err
	}
	defer l.Release()
	return db.name("open", db.begin(ctx))
}

// begin is ensure for who holds the lock.
func (db *DB) begin(ctx context.Context) error {
	if made, err := exists(db.path(markerName)); made || err != nil {
		return err
	}
	if there, err := exists(db.path(dbName)); err != nil {
		return err
	} else if !there {
		if err := db.create(0, nil); err != nil {
			return fmt.Errorf("create: %w", err)
		}
	}
	return db.mark(ctx, 0)
}

// mark writes the marker. It is on disk when mark returns nil.
func (db *DB) mark(ctx context.Context, generation uint64) error {
	b := db.schemaLine()
	if db.o.Newest {
		b = append(b, encodeRecord(generation)...)
	}
	return WriteFile(ctx, db.path(markerName), b, 0o644, db.o.Options)
}

func (db *DB) schemaLine() []byte { return []byte(db.o.Schema.encode() + "\n") }

// record notes that a transaction is on disk. The transaction counts whether
// that succeeds or not.
func (db *DB) record(ctx context.Context, generation uint64) {
	if !db.o.Newest {
		return
	}
	f, err := os.OpenFile(db.path(markerName), os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		_ = db.mark(ctx, generation) // it was removed by hand
	}
	if err != nil {
		return
	}
	defer f.Close()
	_, _ = f.WriteAt(encodeRecord(generation), int64(len(db.schemaLine())))
}

// recorded returns the generation that is on record, or 0.
func (db *DB) recorded() (uint64, error) {
	if !db.o.Newest {
		return 0, nil
	}
	f, err := os.Open(db.path(markerName))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var b [recordSize]byte
	if _, err := f.ReadAt(b[:], int64(len(db.schemaLine()))); err != nil && err != io.EOF {
		return 0, err
	}
	return decodeRecord(b[:]), nil
}

func encodeRecord(generation uint64) []byte {
	return fmt.Appendf(nil, recordFormat, generation, generationSum(generation))
}

// decodeRecord undoes encodeRecord. It returns 0 for what is torn.
func decodeRecord(b []byte) uint64 {
	n, err := strconv.ParseUint(string(b[:20]), 10, 64)
	if err != nil || !bytes.Equal(b, encodeRecord(n)) {
		return 0
	}
	return n
}

func generationSum(generation uint64) uint32 {
	return checksum(systemBucket, generationKey, strconv.AppendUint(nil, generation, 10))
}

// generation returns the generation of a database, which must not be smaller
// than the one on record.
func (db *DB) generation(tx *Tx) (uint64, error) {
	if !db.o.Newest {
		return 0, nil
	}
	value, err := tx.Get(systemBucket, generationKey)
	if err != nil {
		return 0, err
	}
	var has uint64 // databases made before there was a record have none
	if value != nil {
		if has, err = strconv.ParseUint(string(value), 10, 64); err != nil {
			return 0, damaged("damaged: generation %q is no number", value)
		}
	}
	recorded, err := db.recorded()
	if err == nil && has < recorded {
		err = damaged("it is an older one: generation %d, but %d was written", has, recorded)
	}
	return has, err
}

func (db *DB) setGeneration(tx *Tx, generation uint64) error {
	if !db.o.Newest {
		return nil
	}
	return tx.Put(systemBucket, generationKey, strconv.AppendUint(nil, generation, 10))
}

func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// RemoveStale removes what those have left who were killed while they replaced the
// database. The next Replace does so too.
func (db *DB) RemoveStale(ctx context.Context) error {
	l, err := AcquireLock(ctx, db.path(lockName), Exclusive, db.o.What, db.o.Options)
	if err != nil {
		return err
	}
	defer l.Release()
	return db.name("clean up", db.removeStale())
}

func (db *DB) removeStale() error {
	return errors.Join(RemoveStale(db.path(dbName)), RemoveStale(db.path(markerName)))
}
