package durable

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"syscall"

	"go.etcd.io/bbolt"

	"terrine/store/fault"
)

// Tx is a transaction. It is for the goroutine that was given it, until the
// function that was given it returns.
//
// A bucket is a name; it needs no creation. Buckets whose names begin with a
// dot are the DB's own.
type Tx struct {
	b       *bolt
	tx      *bbolt.Tx
	buckets map[string]*bbolt.Bucket // those that were used
}

// bucket returns a bucket, or nil if there is none and it is not to be made.
// It calls bbolt.
func (t *Tx) bucket(name string, make bool) (*bbolt.Bucket, error) {
	if b := t.buckets[name]; b != nil {
		return b, nil
	}
	b := t.tx.Bucket([]byte(name))
	if b == nil && make {
		var err error
		if b, err = t.tx.CreateBucket([]byte(name)); err != nil {
			return nil, err
		}
	}
	if b != nil {
		t.buckets[name] = b
	}
	return b, nil
}

// checksum is a CRC-32C, for which processors have an instruction. It covers
// bucket and key too, so that a value cannot stand under another's name.
func checksum(bucket string, key, value []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	var head [64]byte
	b := append(append(head[:0], bucket...), 0)
	sum := crc32.Update(0, table, binary.BigEndian.AppendUint32(b, uint32(len(key))))
	sum = crc32.Update(sum, table, key)
	return crc32.Update(sum, table, value)
}

// seal puts the checksum before a value.
func seal(bucket string, key, value []byte) []byte {
	b := make([]byte, 4, 4+len(value))
	binary.BigEndian.PutUint32(b, checksum(bucket, key, value))
	return append(b, value...)
}

// unseal returns the value within a sealed one, sharing its memory.
func unseal(bucket string, key, sealed []byte) ([]byte, error) {
	if len(sealed) < 4 || binary.BigEndian.Uint32(sealed) != checksum(bucket, key, sealed[4:]) {
		return nil, damaged("damaged: value of %q in %q does not match its checksum", key, bucket)
	}
	return sealed[4:], nil
}

// run runs f in a bbolt transaction, committing when it writes and f agrees.
func (b *bolt) run(write bool, f func(tx *Tx) error) error {
	t := &Tx{b: b, buckets: make(map[string]*bbolt.Bucket)}
	if err := b.guard(func() (err error) {
		t.tx, err = b.db.Begin(write)
		return err
	}); err != nil {
		return err
	}
	finished := false
	defer func() {
		if !finished { // f panicked, or failed
			b.guard(t.tx.Rollback)
		}
	}()
	if err := f(t); err != nil {
		return err
	}
	if !write {
		return nil
	}
	if err := b.o.at("db.commit"); err != nil {
		return err
	}
	finished = true // Commit rolls back by itself when it fails
	if err := b.commit(t.tx); err != nil {
		return err
	}
	return b.o.at("db.committed")
}

// errInterrupted says that a signal has interrupted the disk before a transaction
// counted: nothing is left of it.
var errInterrupted = errors.New("interrupted by a signal")

// commit commits a transaction. bbolt gives up when a signal interrupts the disk,
// which file systems in user space allow: with what is then in the file, either
// the transaction is to be made again, or only its last sync.
func (b *bolt) commit(tx *bbolt.Tx) error {
	id := tx.ID()
	err := b.guard(tx.Commit)
	if !errors.Is(err, syscall.EINTR) {
		return err
	}
	written := false
	if err := b.guard(func() error {
		return b.db.View(func(now *bbolt.Tx) error {
			written = now.ID() == id
			return nil
		})
	}); err != nil {
		return err
	}
	if !written {
		return errInterrupted
	}
	return fault.Retry(func() error { return b.guard(b.db.Sync) })
}

// guard calls bbolt, unless it has panicked before.
func (b *bolt) guard(f func() error) error {
	if b.broken {
		return damaged("damaged")
	}
	err, broken := guard(f)
	b.broken = broken
	return err
}

// Get returns a copy of the value of key, or nil if there is none. (A value
// of no bytes is not nil.)
func (t *Tx) Get(bucket string, key []byte) ([]byte, error) {
	var value []byte
	err := t.b.guard(func() error {
		bk, err := t.bucket(bucket, false)
		if bk == nil {
			return err
		}
		sealed := bk.Get(key)
		if sealed == nil {
			return nil
		}
		v, err := unseal(bucket, key, sealed)
		value = append([]byte{}, v...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return value, nil
}

// Put sets the value of key, which has 1 to 32768 bytes.
func (t *Tx) Put(bucket string, key, value []byte) error {
	return t.b.guard(func() error {
		bk, err := t.bucket(bucket, true)
		if err != nil {
			return err
		}
		return bk.Put(key, seal(bucket, key, value))
	})
}

// Delete removes key if it is there.
func (t *Tx) Delete(bucket string, key []byte) error {
	return t.b.guard(func() error {
		bk, err := t.bucket(bucket, false)
		if bk == nil {
			return err
		}
		return bk.Delete(key)
	})
}

// scanStep is how many pairs are copied out of bbolt at a time, so that the
// function that gets them runs outside of the guard.
const scanStep = 64

// Scan calls f with every key that begins with prefix, in byte order, and its
// value, until f returns an error, which it returns. Key and value are f's.
// f may change the database; whether it then meets its own changes is open.
func (t *Tx) Scan(bucket string, prefix []byte, f func(key, value []byte) error) error {
	type pair struct{ key, value []byte }
	next := prefix
	for {
		var pairs []pair
		err := t.b.guard(func() error {
			bk, err := t.bucket(bucket, false)
			if bk == nil {
				return err
			}
			c := bk.Cursor()
			for k, v := c.Seek(next); k != nil && bytes.HasPrefix(k, prefix) && len(pairs) < scanStep; k, v = c.Next() {
				value, err := unseal(bucket, k, v)
				if err != nil {
					return err
				}
				pairs = append(pairs, pair{bytes.Clone(k), append([]byte{}, value...)})
			}
			return nil
		})
		if err != nil {
			return err
		}
		full := len(pairs) == scanStep
		if full {
			next = append(bytes.Clone(pairs[scanStep-1].key), 0) // the key itself is f's
		}
		for _, p := range pairs {
			if err := f(p.key, p.value); err != nil {
				return err
			}
		}
		if !full {
			return nil
		}
	}
}

func (t *Tx) accept(s Schema) error {
	found, err := t.Get(systemBucket, []byte("schema"))
	if err != nil {
		return err
	}
	if found == nil {
		return damaged("damaged: no schema in it")
	}
	return s.accept(string(found))
}
