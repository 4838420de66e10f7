package store

import (
	"bytes"
	"context"
	"hash/maphash"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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
	First string // of their paths, in the order of bytes
}

func (f *Found) add(path string) {
	if f.Count == 0 || path < f.First {
		f.First = path
	}
	f.Count++
}

// NewSurvey looks at path and everything below it, and opens no file. What it cannot
// look at it passes by: whoever adds it is told. Of a directory with a million files
// it holds a few at a time, and 8 bytes of each.
func NewSurvey(ctx context.Context, path string) (*Survey, error) {
	v := &surveyor{survey: &Survey{}, seed: maphash.MakeSeed()}
	info, err := os.Lstat(path)
	if err != nil {
		return v.survey, ctx.Err()
	}
	return v.survey, v.look(ctx, path, fs.FileInfoToDirEntry(info))
}

type surveyor struct {
	survey *Survey
	seed   maphash.Seed
	names  [1 << 10]byte // of the attributes of a file
}

// look looks at path and what is below it.
func (v *surveyor) look(ctx context.Context, path string, d fs.DirEntry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if d.Type() != fs.ModeSymlink && v.hasAttributes(path) {
		v.survey.Attributes.add(path)
	}
	if d.IsDir() {
		return v.directory(ctx, path)
	}
	if info, err := d.Info(); err == nil && info.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
		v.survey.SetID.add(path)
	}
	return nil
}

func (v *surveyor) directory(ctx context.Context, dir string) error {
	var hashes []uint64 // of names as others may take them
	err := entries(dir, func(d fs.DirEntry) error {
		hashes = append(hashes, v.hash(d.Name()))
		return v.look(ctx, filepath.Join(dir, d.Name()), d)
	})
	slices.Sort(hashes)
	often := make(map[uint64]bool)
	for i := 1; i < len(hashes); i++ {
		if hashes[i] == hashes[i-1] {
			often[hashes[i]] = true
		}
	}
	if err != nil || len(often) == 0 {
		return err
	}
	return v.twins(dir, often)
}

// twins counts the twins in dir among the names with these hashes.
func (v *surveyor) twins(dir string, often map[uint64]bool) error {
	var names []string
	err := entries(dir, func(d fs.DirEntry) error {
		if often[v.hash(d.Name())] {
			names = append(names, d.Name())
		}
		return nil
	})
	slices.Sort(names)
	seen := make(map[string]bool, len(names))
	for _, name := range names {
		if seen[folded(name)] {
			v.survey.Twins.add(filepath.Join(dir, name))
		}
		seen[folded(name)] = true
	}
	return err
}

func (v *surveyor) hash(name string) uint64 { return maphash.String(v.seed, folded(name)) }

// folded returns what is the same for two names that some file system takes for one.
func folded(name string) string { return strings.ToLower(norm.NFC.String(name)) }

// entries calls each for what is in dir, in no order, until that fails. What cannot be
// read is passed by.
func entries(dir string, each func(fs.DirEntry) error) error {
	f, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer f.Close()
	for {
		some, err := f.ReadDir(1000)
		for _, d := range some {
			if err := each(d); err != nil {
				return err
			}
		}
		if err != nil || len(some) == 0 {
			return nil
		}
	}
}

// labels are attributes that a system gives to every file.
var labels = [...]string{"security.selinux", "security.ima", "security.evm", "com.apple.provenance"}

func (v *surveyor) hasAttributes(path string) bool {
	n, err := unix.Llistxattr(path, v.names[:])
	if err != nil {
		return err == unix.ERANGE
	}
next:
	for name := range bytes.SplitSeq(bytes.TrimSuffix(v.names[:n], []byte{0}), []byte{0}) {
		for _, label := range labels {
			if len(name) == 0 || string(name) == label {
				continue next
			}
		}
		return true
	}
	return false
}
