package store

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
	"golang.org/x/text/unicode/norm"
)

// A Survey says what of a source its store path will not have, and what in it other
// machines may mix up.
type Survey struct {
	// Attributes are the files with extended attributes, which ACLs and
	// capabilities are too; SetID are those that are setuid or setgid.
	Attributes, SetID Found
	// Twins are the names that differ from one beside them in case or in Unicode
	// form alone. Some file systems take them for one.
	Twins Found
}

// Found are files of one kind.
type Found struct {
	Count int
	First string // the path of the first
}

func (f *Found) add(path string) {
	if f.Count++; f.Count == 1 {
		f.First = path
	}
}

// NewSurvey looks at path and everything below it, and opens no file. What it cannot
// look at it passes by: whoever adds it is told.
func NewSurvey(ctx context.Context, path string) (*Survey, error) {
	s := &Survey{}
	err := filepath.WalkDir(path, func(path string, d fs.DirEntry, err error) error {
		if ctxErr := ctx.Err(); ctxErr != nil || err != nil {
			return ctxErr
		}
		s.look(path, d)
		return nil
	})
	return s, err
}

func (s *Survey) look(path string, d fs.DirEntry) {
	if d.Type() != fs.ModeSymlink && hasAttributes(path) {
		s.Attributes.add(path)
	}
	if d.IsDir() {
		s.lookForTwins(path)
		return
	}
	if info, err := d.Info(); err == nil && info.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
		s.SetID.add(path)
	}
}

func (s *Survey) lookForTwins(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	seen := make(map[string]bool, len(entries))
	for _, e := range entries {
		folded := strings.ToLower(norm.NFC.String(e.Name()))
		if seen[folded] {
			s.Twins.add(filepath.Join(dir, e.Name()))
		}
		seen[folded] = true
	}
}

// labels are attributes that a system gives to every file.
var labels = [...]string{"security.selinux", "security.ima", "security.evm", "com.apple.provenance"}

func hasAttributes(path string) bool {
	var buf [1 << 10]byte
	n, err := unix.Llistxattr(path, buf[:])
	if err != nil {
		return err == unix.ERANGE
	}
next:
	for name := range bytes.SplitSeq(bytes.TrimSuffix(buf[:n], []byte{0}), []byte{0}) {
		for _, label := range labels {
			if len(name) == 0 || string(name) == label {
				continue next
			}
		}
		return true
	}
	return false
}
