package builder

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"terrine/builder/rootfs"
	"terrine/store"
)

// configPaths returns the store paths in dir that the strings of Config, keys
// included, mention: what a Nix expression writes into a config has to be in
// the image. Those of the labels are apart, since nothing runs by them: they may
// tell where an image is from, such as by its derivation. Both are sorted,
// without duplicates.
//
// A path ends where its name does, at the first character that no name can
// hold. Where text goes on with one that it can ("/nix/store/…-hello."), the
// name comes out too long: identify paths by Digest.
func (s *Spec) configPaths(dir store.Dir) (used, labels []store.Path) {
	var config map[string]any
	if err := json.Unmarshal(s.Config, &config); err != nil {
		return nil, nil // ParseSpec has checked it
	}
	pathsIn := func(v any) []store.Path {
		found := make(map[store.Path]bool)
		walkStrings(v, func(text string) {
			findPaths(dir, []byte(text), len(text), func(p store.Path) { found[p] = true })
		})
		return slices.Sorted(maps.Keys(found))
	}
	labels = pathsIn(config["Labels"])
	delete(config, "Labels")
	return pathsIn(config), labels
}

// walkStrings calls visit with every string in a decoded JSON value.
func walkStrings(v any, visit func(string)) {
	switch v := v.(type) {
	case string:
		visit(v)
	case []any:
		for _, item := range v {
			walkStrings(item, visit)
		}
	case map[string]any:
		for key, value := range v {
			visit(key)
			walkStrings(value, visit)
		}
	}
}

// findPaths calls emit with the store paths in dir that text mentions, in order,
// as often as it does, as far as they begin before limit. See configPaths for
// where they end.
func findPaths(dir store.Dir, text []byte, limit int, emit func(store.Path)) {
	prefix := []byte(string(dir) + "/")
	for at := 0; ; at += len(prefix) - 1 { // its last slash may be the first of another
		i := bytes.Index(text[at:], prefix)
		if at += i; i < 0 || at >= limit {
			return
		}
		end := at + len(prefix)
		for end < len(text) && isNameByte(text[end]) {
			end++
		}
		if end-at > len(prefix)+maxBaseLen {
			continue // do not copy what is no path
		}
		if p, err := dir.ParsePath(string(text[at:end])); err == nil {
			emit(p)
		}
	}
}

// maxBaseLen is the length of the longest store path without its directory:
// 32 characters of digest, a dash, and a name.
const maxBaseLen = 32 + 1 + 211

// mentionedPaths returns the store paths in dir that the files and links of a
// root layer mention, sorted, without duplicates: links into the store as well
// as what stands in text and in copied files, where Nix would find references.
// A path found may be of no object; see configPaths.
func mentionedPaths(ctx context.Context, dir store.Dir, entries []rootfs.Entry) ([]store.Path, error) {
	found := make(map[store.Path]bool)
	emit := func(p store.Path) { found[p] = true }
	buf := make([]byte, 256<<10)
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		switch {
		case e.Kind == rootfs.Symlink:
			findPaths(dir, []byte(e.Link), len(e.Link), emit)
		case e.Kind == rootfs.File && e.Text != nil:
			findPaths(dir, e.Text, len(e.Text), emit)
		case e.Kind == rootfs.File:
			if err := findInFile(ctx, dir, e.Source, buf, emit); err != nil {
				return nil, fmt.Errorf("look for store paths in %s: %w", e.Source, err)
			}
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// findInFile looks through a file with a window as large as buf. What begins
// near its end is left for the next one, which has all of it.
func findInFile(ctx context.Context, dir store.Dir, file string, buf []byte, emit func(store.Path)) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	overlap := len(dir) + 1 + maxBaseLen + 1
	kept := 0
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.ReadFull(f, buf[kept:])
		window := buf[:kept+n]
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			findPaths(dir, window, len(window), emit)
			return nil
		}
		if err != nil {
			return err
		}
		limit := len(window) - overlap
		findPaths(dir, window, limit, emit)
		kept = copy(buf, window[limit:])
	}
}

// isNameByte reports whether c can stand in the name of a store path.
func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("+-._?=", c) >= 0
}
