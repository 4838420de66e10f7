package binarycache

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"

	"github.com/opencontainers/go-digest"

	"terrine/store"
	"terrine/store/fault"
)

// check compares a stream with what it should be.
type check interface {
	write(p []byte)
	end() error // of class fault.Integrity
}

// sum compares hash and size of a stream.
type sum struct {
	what string
	want digest.Digest
	hash hash.Hash
	size int64 // 0 if it is not known
	n    int64
}

func newSum(what string, want digest.Digest, size int64) *sum {
	return &sum{what: what, want: want, hash: newHash(want.Algorithm()), size: size}
}

// newHash returns a hash of one of Nix's algorithms.
func newHash(a digest.Algorithm) hash.Hash {
	switch a {
	case "md5":
		return md5.New()
	case "sha1":
		return sha1.New()
	case "sha512":
		return sha512.New()
	}
	return sha256.New()
}

func (s *sum) write(p []byte) {
	s.n += int64(len(p))
	s.hash.Write(p)
}

func (s *sum) end() error {
	if s.size != 0 && s.n != s.size {
		return fault.New(fault.Integrity, fmt.Errorf("the %s has %d bytes: want %d", s.what, s.n, s.size))
	}
	if got := digest.NewDigest(s.want.Algorithm(), s.hash); got != s.want {
		return fault.New(fault.Integrity, fmt.Errorf("the %s has the hash %s: want %s",
			s.what, store.FormatHash(got), store.FormatHash(s.want)))
	}
	return nil
}

// contentCheck returns the check of a NAR against a path's own address.
func contentCheck(ca *store.ContentAddress) check {
	if ca.Method == store.MethodNAR {
		return newSum("NAR", ca.Hash, 0)
	}
	return &plainFile{head: make([]byte, 0, len(plainHead)+8), contents: newSum("file in the NAR", ca.Hash, 0)}
}

// plainHead is how the NAR of a file that is not executable begins, up to the
// size of its contents.
const plainHead = "\r\x00\x00\x00\x00\x00\x00\x00nix-archive-1\x00\x00\x00" +
	"\x01\x00\x00\x00\x00\x00\x00\x00(\x00\x00\x00\x00\x00\x00\x00" +
	"\x04\x00\x00\x00\x00\x00\x00\x00type\x00\x00\x00\x00" +
	"\x07\x00\x00\x00\x00\x00\x00\x00regular\x00" +
	"\x08\x00\x00\x00\x00\x00\x00\x00contents"

// plainFile compares the contents of the one file that a NAR has. That the NAR
// is well-formed is for its reader to find out.
type plainFile struct {
	head     []byte // plainHead and the size, as far as they have come
	left     uint64 // of the contents
	contents *sum
}

func (f *plainFile) write(p []byte) {
	if missing := cap(f.head) - len(f.head); missing > 0 {
		n := min(missing, len(p))
		f.head = append(f.head, p[:n]...)
		p = p[n:]
		if n == missing {
			f.left = binary.LittleEndian.Uint64(f.head[len(plainHead):])
		}
	}
	n := min(f.left, uint64(len(p)))
	f.contents.write(p[:n])
	f.left -= n
}

func (f *plainFile) end() error {
	if len(f.head) < cap(f.head) || !bytes.HasPrefix(f.head, []byte(plainHead)) || f.left > 0 {
		return fault.New(fault.Integrity, errors.New("it should be a plain file, and is not"))
	}
	return f.contents.end()
}
