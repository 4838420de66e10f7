package store

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"

	"github.com/opencontainers/go-digest"

	"terrine/store/fault"
)

// The export stream of `nix-store --export`: for each object the number 1, its
// NAR, and a trailer of magic, path, references, deriver and the number 0; then
// the number 0. Numbers and strings are those of NAR.
const (
	exportMore  = 1
	exportEnd   = 0
	exportMagic = 0x4558494e // "NIXE", read backwards

	// Bounds of what is read into memory. A path is as long as PATH_MAX lets
	// it be; the largest environments refer to some ten thousand others, by paths
	// of far less; a signature, which Nix wrote long ago and nobody reads, was one
	// of RSA.
	maxExportPath           = 4096
	maxExportReferences     = 1 << 18
	maxExportReferenceBytes = 32 << 20 // of all those of an object
	maxExportSignature      = 64 << 10
)

// exportObject writes the object that info describes to an export stream; dump is to
// write its NAR. An importer wants objects after those they refer to. A NAR that has
// not info's hash and size is an error of class fault.Integrity, and leaves a stream
// that no importer accepts.
func exportObject(w io.Writer, info *Info, dump func(io.Writer) error) error {
	if _, err := w.Write(appendNumber(nil, exportMore)); err != nil {
		return err
	}
	sum := newNARSum()
	if err := dump(io.MultiWriter(w, sum)); err != nil {
		return err
	}
	if got := sum.digest(); got != info.NARHash || sum.size != info.NARSize {
		return fault.New(fault.Integrity, fmt.Errorf("its NAR is %s of %d bytes, and should be %s of %d",
			FormatHash(got), sum.size, FormatHash(info.NARHash), info.NARSize))
	}
	b := appendNumber(nil, exportMagic)
	b = appendString(b, string(info.Path))
	b = appendNumber(b, uint64(len(info.References)))
	for _, ref := range info.References {
		b = appendString(b, string(ref))
	}
	b = appendString(b, string(info.Deriver))
	b = appendNumber(b, 0)
	_, err := w.Write(b)
	return err
}

// endExport ends an export stream.
func endExport(w io.Writer) error {
	_, err := w.Write(appendNumber(nil, exportEnd))
	return err
}

// narSum is what is known of a NAR after it has gone by.
type narSum struct {
	hash hash.Hash
	size int64
}

func newNARSum() *narSum { return &narSum{hash: sha256.New()} }

// Write never fails.
func (s *narSum) Write(b []byte) (int, error) {
	s.size += int64(len(b))
	return s.hash.Write(b)
}

func (s *narSum) digest() digest.Digest { return digest.NewDigest(digest.SHA256, s.hash) }

// appendNumber appends n as NARs and streams have it.
func appendNumber(b []byte, n uint64) []byte { return binary.LittleEndian.AppendUint64(b, n) }

// appendString appends the length of s, s, and zeros up to a multiple of 8.
func appendString(b []byte, s string) []byte {
	b = append(appendNumber(b, uint64(len(s))), s...)
	return append(b, make([]byte, -len(s)&7)...)
}
