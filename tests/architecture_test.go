package tests

import (
	"go/build"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "terrine"

// room is what a package may import beside the standard library.
type room struct {
	own     []string // packages of this module
	foreign []string // packages of other modules, with what is below them
}

// house is the arrows of ARCHITECTURE.md, as policy: what a package may know
// of the others. It is not to be edited to make a build pass, but when the
// house is rebuilt, and then ARCHITECTURE.md says why in the same commit.
func house() map[string]room {
	const (
		digest   = "github.com/opencontainers/go-digest"
		jsontext = "github.com/go-json-experiment/json/jsontext"
		oci      = "github.com/opencontainers/image-spec/specs-go"
		bbolt    = "go.etcd.io/bbolt"
		cobra    = "github.com/spf13/cobra"
		pflag    = "github.com/spf13/pflag"
		pgzip    = "github.com/klauspost/pgzip"
		zstd     = "github.com/klauspost/compress/zstd"
		sync     = "golang.org/x/sync"
		sys      = "golang.org/x/sys"
		term     = "golang.org/x/term"
		xxhash   = "github.com/cespare/xxhash"
		xz       = "github.com/mikelolasagasti/xz"
		xzwriter = "github.com/ulikunitz/xz"
	)
	return map[string]room{
		"cli/terrine": {own: []string{"cli"}},
		"cli": {
			own: []string{
				"builder", "builder/commands", "builder/image", "builder/inspect", "builder/memo", "builder/planfile", "builder/rootfs", "layering",
				"store", "store/binarycache", "store/compression", "store/deb", "store/durable", "store/fault", "store/host",
				"store/input", "store/unpack",
			},
			foreign: []string{cobra, pflag, term},
		},

		"builder": {
			own: []string{
				"builder/image", "builder/layer", "builder/layer/codec", "builder/memo", "builder/nixdb", "builder/planfile", "builder/rootfs",
				"builder/sink/archive",
				"layering", "store", "store/fault", "store/input", "store/nar",
			},
			foreign: []string{digest, sync, sys},
		},
		"builder/commands": {own: []string{"store/fault"}, foreign: []string{sys}},
		"builder/nixdb":    {own: []string{"store", "store/fault"}},
		"builder/inspect":  {own: []string{"store", "store/compression", "store/fault"}, foreign: []string{digest, oci}},
		"builder/planfile": {own: []string{"builder/inspect", "store", "store/fault", "store/host", "store/input"}, foreign: []string{digest}},
		"builder/memo": {
			own:     []string{"builder/layer", "store", "store/durable", "store/fault"},
			foreign: []string{digest},
		},
		"builder/sink/archive": {
			own:     []string{"builder/layer", "builder/layer/codec", "store/durable", "store/fault"},
			foreign: []string{digest},
		},
		"builder/layer": {
			own:     []string{"builder/layer/codec", "builder/layer/sha256x2", "builder/rootfs", "store", "store/fault"},
			foreign: []string{digest, sync, sys},
		},
		"builder/layer/codec": {
			own:     []string{"builder/layer/codec/deflate"},
			foreign: []string{pgzip, zstd, xxhash},
		},
		"builder/layer/codec/deflate": {},
		"builder/layer/sha256x2":      {},
		"builder/rootfs":              {own: []string{"store", "store/fault"}},
		"builder/image":               {own: []string{"store/fault"}, foreign: []string{digest, oci}},

		"layering": {},

		"store/binarycache": {
			own:     []string{"store", "store/compression", "store/durable", "store/fault"},
			foreign: []string{digest},
		},
		"store/deb":         {own: []string{"store", "store/compression", "store/fault", "store/unpack"}},
		"store/unpack":      {own: []string{"store", "store/compression", "store/durable", "store/fault", "store/nar"}},
		"store/compression": {own: []string{"store/fault"}, foreign: []string{sync, zstd, xz, xzwriter}},
		"store/host":        {own: []string{"store", "store/fault", "store/input"}, foreign: []string{digest, jsontext}},
		"store":             {own: []string{"store/durable", "store/fault", "store/nar"}, foreign: []string{digest, sys, "golang.org/x/text/unicode/norm"}},
		"store/nar":         {own: []string{"store/fault"}, foreign: []string{digest, sys}},
		"store/durable":     {own: []string{"store/fault"}, foreign: []string{bbolt, sys}},
		"store/input":       {own: []string{"store/fault"}, foreign: []string{sys}},
		"store/fault":       {},

		"examples/hello": {},
	}
}

// guarded are packages of the standard library that only some rooms may use,
// with what is below them: what decides over bytes, starts processes, or makes
// a result depend on more than its arguments.
func guarded() map[string][]string {
	return map[string][]string{
		"archive/tar": {"builder/inspect", "store/deb", "store/unpack"}, // our own tar is written by builder/layer, header by header
		"compress":    {"store/compression"},                            // reading; what goes into layers is by pinned encoders
		"os/exec":     {"builder/commands", "cli", "store/host"},        // cli only tells what kind of error it has got
		"net/http":    {"examples/hello", "store/binarycache"},
		"math/rand":   {},                                     // what is random is injected
		"crypto/rand": {"store/binarycache", "store/durable"}, // names of temporary files, jitter
		"plugin":      {},
		"unsafe":      {"builder/commands"}, // structs of the kernel that golang.org/x/sys does not have
	}
}

// pure are packages that see nothing but their arguments: no file, no clock.
var pure = []string{"builder/layer/codec/deflate", "layering"}

// TestArchitecture holds the imports of every package to the house. It reads
// the files by itself: a test that asked `go list` would be cached by go test
// although an import had changed.
func TestArchitecture(t *testing.T) {
	root := moduleRoot(t)
	rooms := house()
	for dir, p := range packages(t, root) {
		if dir == "tests" || strings.HasPrefix(dir, "tests/") {
			continue // they test all of it
		}
		r, ok := rooms[dir]
		if !ok {
			t.Errorf("package %s has no room in the house: say in ARCHITECTURE.md and in house() what it may import", dir)
			continue
		}
		delete(rooms, dir)
		for _, imported := range p.Imports {
			if why := r.refuses(dir, imported); why != "" {
				t.Errorf("package %s imports %s: %s", dir, imported, why)
			}
		}
		for _, allowed := range r.unused(p.Imports) {
			t.Errorf("package %s may import %s, and does not: take it from house()", dir, allowed)
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(rooms)) {
		t.Errorf("the house has a room for %s, and there is no such package", dir)
	}
}

// refuses says why a package in this room must not import another, or nothing.
func (r room) refuses(dir, imported string) string {
	if own, ok := strings.CutPrefix(imported, module+"/"); ok {
		if !slices.Contains(r.own, own) {
			return "there is no such arrow"
		}
		return ""
	}
	if first, _, _ := strings.Cut(imported, "/"); strings.Contains(first, ".") {
		if !slices.ContainsFunc(r.foreign, func(f string) bool { return below(imported, f) }) {
			return "it is not for this room"
		}
		return ""
	}
	for name, rooms := range guarded() {
		if below(imported, name) && !slices.Contains(rooms, dir) {
			return "only " + strings.Join(append(rooms, "tests"), ", ") + " may"
		}
	}
	impure := []string{"os", "io", "time", "syscall", "net", "reflect", "runtime"}
	if slices.Contains(pure, dir) && slices.ContainsFunc(impure, func(f string) bool { return below(imported, f) }) {
		return "this package sees nothing but its arguments"
	}
	return ""
}

// unused returns what a package in this room may import and does not.
func (r room) unused(imports []string) (arrows []string) {
	for _, own := range r.own {
		if !slices.Contains(imports, module+"/"+own) {
			arrows = append(arrows, own)
		}
	}
	for _, foreign := range r.foreign {
		if !slices.ContainsFunc(imports, func(imported string) bool { return below(imported, foreign) }) {
			arrows = append(arrows, foreign)
		}
	}
	return arrows
}

// below reports whether name is prefix or a path below it.
func below(name, prefix string) bool {
	return name == prefix || strings.HasPrefix(name, prefix+"/")
}

// packages returns the packages below root by their directory, with the
// imports of their files for any system.
func packages(t *testing.T, root string) map[string]*build.Package {
	t.Helper()
	all := build.Default
	all.UseAllFiles = true
	found := map[string]*build.Package{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if base := d.Name(); name != root && (base == "testdata" || base[0] == '.' || base[0] == '_') {
			return filepath.SkipDir
		}
		p, err := all.ImportDir(name, 0)
		if _, none := err.(*build.NoGoError); none {
			return nil
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		found[filepath.ToSlash(rel)] = p
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func moduleRoot(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatal(err)
	}
	return root
}

// TestArchitectureIsDrawn holds the drawing to the policy: ARCHITECTURE.md
// names every package.
func TestArchitectureIsDrawn(t *testing.T) {
	drawing, err := os.ReadFile(path.Join(moduleRoot(t), "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	for dir := range house() {
		if !strings.Contains(string(drawing), dir) {
			t.Errorf("ARCHITECTURE.md does not name %s", dir)
		}
	}
}
