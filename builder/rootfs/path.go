package rootfs

import (
	"errors"
	"fmt"
	"strings"
)

// Bounds of a path in an image. Engines unpack below a directory of their own,
// and fail beyond the kernel's 4,095 bytes: about 3,900 are left.
const (
	maxPathLen   = 3900
	maxNameLen   = 255
	maxTargetLen = 4095
)

// CheckPath reports whether p can be the name of an entry: relative, clean,
// not too long, and nothing that an image takes for a deletion (".wh.x").
func CheckPath(p string) error {
	switch {
	case p == "":
		return errors.New("the path is empty")
	case strings.IndexByte(p, 0) >= 0:
		return errors.New("a path cannot hold NUL")
	case len(p) > maxPathLen:
		return fmt.Errorf("path %.60q… has %d bytes: engines take at most about %d", p, len(p), maxPathLen)
	}
	for part := range strings.SplitSeq(p, "/") {
		switch {
		case part == "" || part == "." || part == "..":
			return fmt.Errorf("path %q is not relative and clean", p)
		case len(part) > maxNameLen:
			return fmt.Errorf("path %.60q… has a name of %d bytes: at most %d are allowed", p, len(part), maxNameLen)
		case strings.HasPrefix(part, ".wh."):
			return fmt.Errorf("path %q: in an image names beginning with .wh. delete files", p)
		}
	}
	return nil
}

// CheckLink reports whether s can be the target of a symbolic link.
func CheckLink(s string) error {
	switch {
	case s == "":
		return errors.New("a link needs a target")
	case strings.IndexByte(s, 0) >= 0:
		return errors.New("the target of a link cannot hold NUL")
	case len(s) > maxTargetLen:
		return fmt.Errorf("the target of the link has %d bytes: at most %d are allowed", len(s), maxTargetLen)
	}
	return nil
}
