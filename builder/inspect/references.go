package inspect

import (
	"archive/tar"
	"cmp"
	"context"
	"io"
	"path"
	"slices"
	"strings"

	"terrine/store"
)

// References reads an archive, of which Read has told the store paths, once
// more, and returns which of them each mentions: in names, in the targets of
// symbolic links and in the contents of files, which is where Nix finds
// references. A path that mentions none is not in the result. Errors are those
// of Read, but digests are not compared again.
//
// Store paths that Nix has not made need not mention what they depend on. Nor
// does a path whose file is a hard link to one of another path have that
// file's references, or a sparse file any of its contents.
func References(ctx context.Context, r io.Reader, paths []store.Path) (map[store.Path][]store.Path, error) {
	refs := &references{scanner: store.NewRefScanner(paths), found: map[store.Path][]store.Path{}}
	if _, err := read(ctx, r, refs); err != nil {
		return nil, classify(ctx, err)
	}
	refs.finish()
	return refs.found, nil
}

// references collects what store paths mention.
type references struct {
	scanner *store.RefScanner
	at      store.Path // the path that the scanner has seen a part of
	found   map[store.Path][]store.Path
}

// add looks at an entry of a layer, which is at or below a store path.
func (f *references) add(p string, h *tar.Header, r io.Reader) error {
	if store.Path(p) != f.at {
		f.finish()
		f.at = store.Path(p)
	}
	texts := []string{strings.TrimPrefix(path.Clean("/"+h.Name), p)} // the rest would be its own digest
	if h.Typeflag == tar.TypeSymlink {
		texts = append(texts, h.Linkname)
	}
	for _, text := range texts {
		if _, err := io.WriteString(f.scanner, text+"\x00"); err != nil {
			return err
		}
	}
	if !isSparse(h) {
		if _, err := io.Copy(f.scanner, r); err != nil {
			return err
		}
	}
	_, err := f.scanner.Write([]byte{0}) // no digest goes on into the next file
	return err
}

// finish keeps what the scanner has found.
func (f *references) finish() {
	if refs := f.scanner.References(); len(refs) > 0 {
		all := append(f.found[f.at], refs...)
		slices.SortFunc(all, func(a, b store.Path) int { return cmp.Compare(a, b) })
		f.found[f.at] = slices.Compact(all)
	}
	f.scanner.Reset()
}
