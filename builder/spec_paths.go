package builder

import (
	"encoding/json"
	"slices"
	"strings"

	"terrine/store"
)

// ConfigPaths returns the store paths in dir that the strings of Config, keys
// included, mention: what a Nix expression writes into a config has to be in
// the image. They are sorted, without duplicates.
//
// A path ends where its name does, at the first character that no name can
// hold. Where text goes on with one that it can ("/nix/store/…-hello."), the
// name comes out too long: identify paths by Digest.
func (s *Spec) ConfigPaths(dir store.Dir) []store.Path {
	var root any
	if err := json.Unmarshal(s.Config, &root); err != nil {
		return nil // ParseSpec has checked it
	}
	var found []store.Path
	walkStrings(root, func(text string) { found = append(found, FindStorePaths(dir, text)...) })
	return sortedPaths(found)
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

// FindStorePaths returns the store paths in dir that text mentions, in order,
// as often as it does. See ConfigPaths for where they end.
func FindStorePaths(dir store.Dir, text string) []store.Path {
	prefix := string(dir) + "/"
	var found []store.Path
	for {
		i := strings.Index(text, prefix)
		if i < 0 {
			return found
		}
		text = text[i:]
		end := len(prefix)
		for end < len(text) && isNameByte(text[end]) {
			end++
		}
		if p, err := dir.ParsePath(text[:end]); err == nil {
			found = append(found, p)
		}
		text = text[len(prefix):]
	}
}

// isNameByte reports whether c can stand in the name of a store path.
func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("+-._?=", c) >= 0
}

func sortedPaths(paths []store.Path) []store.Path {
	slices.Sort(paths)
	return slices.Compact(paths)
}
