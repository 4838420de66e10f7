package store

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
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

// exportWriter writes what `nix-store --import` reads: WriteObject for each
// object, Close at the end. It is for one goroutine. Its first error sticks.
type exportWriter struct {
	w   io.Writer
	err error
}

// newExportWriter returns an exportWriter to w, which it does not close.
func newExportWriter(w io.Writer) *exportWriter { return &exportWriter{w: w} }

// WriteObject writes the object that info describes; dump is to write its NAR.
// An importer wants objects after those they refer to. A NAR that has not
// info's hash and size is an error of class fault.Integrity, and leaves a
// stream that no importer accepts.
func (e *exportWriter) WriteObject(info *Info, dump func(io.Writer) error) error {
	if e.err == nil {
		if err := e.object(info, dump); err != nil {
			e.err = fmt.Errorf("export %s: %w", info.Path, err)
		}
	}
	return e.err
}

func (e *exportWriter) object(info *Info, dump func(io.Writer) error) error {
	if _, err := e.w.Write(appendNumber(nil, exportMore)); err != nil {
		return err
	}
	sum := newNARSum()
	if err := dump(io.MultiWriter(e.w, sum)); err != nil {
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
	_, err := e.w.Write(b)
	return err
}

// Close ends the stream. A second Close writes nothing.
func (e *exportWriter) Close() error {
	switch {
	case e.err == errExportClosed:
		return nil
	case e.err != nil:
		return e.err
	}
	if _, err := e.w.Write(appendNumber(nil, exportEnd)); err != nil {
		e.err = fmt.Errorf("end export: %w", err)
		return e.err
	}
	e.err = errExportClosed
	return nil
}

var errExportClosed = errors.New("the export is closed")

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
