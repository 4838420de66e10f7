package cli

import (
	"os"
	"path/filepath"
	"strings"

	"terrine/store"
	"terrine/store/fault"
)

// pathArguments returns arguments as store paths of s: store paths, paths below
// them, and symlinks to those, such as nix-build's ./result, or to where they
// lie on disk.
func pathArguments(s *store.Store, args []string) ([]store.Path, error) {
	paths := make([]store.Path, len(args))
	for i, arg := range args {
		p, err := pathArgument(s, arg)
		if err != nil {
			return nil, err
		}
		paths[i] = p
	}
	return paths, nil
}

func pathArgument(s *store.Store, arg string) (store.Path, error) {
	if filepath.IsAbs(arg) {
		arg = filepath.Clean(arg)
	}
	p, _, err := s.Dir().SplitPath(arg)
	if err == nil {
		return p, nil
	}
	if p, ok := followToStore(s, arg); ok {
		return p, nil
	}
	return "", fault.New(fault.Usage, err)
}

// followToStore follows the symlinks in a name as the system does, but no further
// than to the first store path: an object may itself be a symlink, to another or
// to nothing. The store directory need not be on this disk.
func followToStore(s *store.Store, name string) (store.Path, bool) {
	if !filepath.IsAbs(name) {
		dir, err := os.Getwd()
		if err != nil {
			return "", false
		}
		name = dir + "/" + name
	}
	objects, err := filepath.EvalSymlinks(s.RealDir())
	if err != nil {
		objects = s.RealDir()
	}
	at, links := "", 0 // at is without symlinks; "" is the root
	for todo := strings.Split(name, "/"); len(todo) > 0; {
		part := todo[0]
		todo = todo[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			at = at[:max(0, strings.LastIndexByte(at, '/'))]
			continue
		}
		if p, ok := storePathAt(s, objects, at+"/"+part); ok {
			return p, true
		}
		target, err := os.Readlink(at + "/" + part)
		if err != nil { // it is none; or it is not there, nor will be what is below
			at += "/" + part
			continue
		}
		if p, ok := storePathAt(s, objects, filepath.Clean(target)); ok {
			return p, true
		}
		if links++; links > maxLinks {
			break
		}
		if filepath.IsAbs(target) {
			at = ""
		}
		todo = append(strings.Split(target, "/"), todo...)
	}
	return "", false
}

// storePathAt returns the store path that name is at or below, in the store
// directory or on disk in objects.
func storePathAt(s *store.Store, objects, name string) (store.Path, bool) {
	if rest, ok := strings.CutPrefix(name, objects+"/"); ok {
		name = string(s.Dir()) + "/" + rest
	}
	p, _, err := s.Dir().SplitPath(name)
	return p, err == nil
}
