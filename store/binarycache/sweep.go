package binarycache

import (
	"os"
	"path/filepath"
	"strings"

	"terrine/store/durable"
)

// cacheInfo is the file that says that a directory is a cache.
const cacheInfo = "nix-cache-info"

// newNAR is what a NAR is called while its hash, and so its name, is not known.
// Nobody ever has that name: there are only temporary names for it.
const newNAR = "new"

// sweep removes what writers that were killed have left: temporary files, as
// durable.Create makes them, that no process has locked.
func (w *Writer) sweep() error {
	for _, dir := range []string{w.dir, filepath.Join(w.dir, "nar")} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		seen := make(map[string]bool)
		for _, e := range entries {
			target, ok := temporaryFor(e.Name())
			if !ok || seen[target] {
				continue
			}
			seen[target] = true
			if err := durable.RemoveStale(filepath.Join(dir, target)); err != nil {
				return err
			}
		}
	}
	return nil
}

// temporaryFor returns which file of a cache a temporary file was to become:
// ".TARGET.TOKEN" is for TARGET.
func temporaryFor(name string) (target string, ok bool) {
	rest, ok := strings.CutPrefix(name, ".")
	i := strings.LastIndexByte(rest, '.')
	if !ok || i < 0 {
		return "", false
	}
	target = rest[:i]
	return target, target == newNAR || target == cacheInfo || strings.HasSuffix(target, ".narinfo")
}
