// Package nar reads and writes NAR, Nix's archive format: what a store object
// is hashed as, copied as, and exported as.
//
// A NAR holds one file, directory or symlink. It keeps names, contents, link
// targets and one executable bit, and nothing else, and there is exactly one
// NAR for a tree: entries stand in byte order and padding is zero. Reader and
// Writer therefore refuse all that Nix refuses, and what Nix would accept but
// never write; so a NAR that was read and written again is the same bytes.
//
// Reader and Writer have the shape of archive/tar. Dump and Extract go between
// NARs and the disk, Hash is Dump into a SHA-256. None of them starts a
// goroutine, and none holds a file's contents in memory.
//
// See https://nix.dev/manual/nix/latest/protocols/nix-archive.
package nar

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

// The bounds of the format. They are Nix's own since it learnt what unbounded
// ones cost (a NAR of a few megabytes could overflow its stack).
const (
	MaxDepth      = 64            // nodes from the root, which counts, down to the deepest
	MaxNameLen    = 255           // bytes of an entry's name: no filesystem takes more
	MaxTargetLen  = 4095          // bytes of a symlink's target: PATH_MAX without its NUL
	maxTagLen     = 32            // bytes of a keyword; the longest is 10
	maxContentLen = math.MaxInt64 // bytes of a file, so that sizes fit int64
)

// Type is what a node of a NAR is.
type Type uint8

// The types. The zero value is none of them.
const (
	TypeRegular Type = iota + 1
	TypeDirectory
	TypeSymlink
)

// String returns the type as a NAR spells it.
func (t Type) String() string {
	switch t {
	case TypeRegular:
		return "regular"
	case TypeDirectory:
		return "directory"
	case TypeSymlink:
		return "symlink"
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// Header is one node of a NAR.
type Header struct {
	// Path leads from the root of the NAR to the node: names joined by
	// slashes, no slash in front. The root itself is "". Names are bytes, not
	// text: they need not be UTF-8.
	Path       string
	Type       Type
	Size       int64  // bytes of a regular file; 0 for other types
	Executable bool   // of a regular file
	LinkTarget string // of a symlink: 1 to MaxTargetLen bytes, no NUL
}

// check returns what is wrong with h, apart from its place among others.
func (h *Header) check() error {
	switch h.Type {
	case TypeRegular:
		if h.Size < 0 {
			return fmt.Errorf("negative size %d", h.Size)
		}
	case TypeDirectory:
	case TypeSymlink:
		if err := checkTarget(h.LinkTarget); err != nil {
			return err
		}
	default:
		return fmt.Errorf("unknown %v", h.Type)
	}
	switch {
	case h.Type != TypeRegular && (h.Size != 0 || h.Executable):
		return fmt.Errorf("a %v has no size and is not executable", h.Type)
	case h.Type != TypeSymlink && h.LinkTarget != "":
		return fmt.Errorf("a %v has no link target", h.Type)
	}
	return nil
}

// checkName returns why name cannot be that of a directory's entry.
func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("empty name")
	case name == "." || name == "..":
		return fmt.Errorf("name %q", name)
	case len(name) > MaxNameLen:
		return fmt.Errorf("name of %d bytes: at most %d are allowed", len(name), MaxNameLen)
	case strings.ContainsAny(name, "/\x00"):
		return fmt.Errorf("name %q with a slash or NUL in it", name)
	}
	return nil
}

// checkTarget returns why target cannot be that of a symlink.
func checkTarget(target string) error {
	switch {
	case target == "":
		return errors.New("empty link target")
	case len(target) > MaxTargetLen:
		return fmt.Errorf("link target of %d bytes: at most %d are allowed", len(target), MaxTargetLen)
	case strings.IndexByte(target, 0) >= 0:
		return fmt.Errorf("link target %q with a NUL in it", target)
	}
	return nil
}
