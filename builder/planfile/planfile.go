// Package planfile reads from files how an image was, or would be, divided
// into layers: from an image archive, from what `terrine plan --json` wrote, or,
// without layers, from a references graph. It tells them apart by content. It also
// writes what that command prints: a Document.
//
// Such files come from anywhere, and what is in them is checked and bounded: an
// archive by package inspect, with all of its digests; a graph by package host.
package planfile

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/opencontainers/go-digest"

	"terrine/builder/inspect"
	"terrine/store"
	"terrine/store/fault"
	"terrine/store/host"
	"terrine/store/input"
)

// What a file was.
const (
	Archive = "image archive"
	JSON    = "plan"
	Graph   = "references graph"
)

// Plan is what a file says of an image.
type Plan struct {
	// Kind is Archive, JSON or Graph.
	Kind string
	// Layers are those that hold store paths, bottom first. There are none in a
	// references graph.
	Layers []Layer
	// RootKey is the key of the root layer; empty where a file has none.
	RootKey digest.Digest
	// Graph is what is known of the store paths: of all of those in Layers and
	// others, sorted by path, with no reference that leads out of it. Of an
	// archive NARSize is the size of the files, and there is no NARHash; of a
	// plan in JSON that lacks the graph, neither.
	Graph []*store.Info
	// References tells whether those in Graph are known. Those of an archive are
	// what its files mention, and asked for with FindReferences.
	References bool
}

// Layer is a group of store paths that are one layer.
type Layer struct {
	// Name is that of the pin that made the group; empty if none did, and for
	// archives.
	Name string
	// Key is the layer's key; empty for archives.
	Key digest.Digest
	// Size is in bytes: the sum of NAR sizes in a plan, the size of the
	// uncompressed tar in an archive.
	Size int64
	// Foreign tells of a layer in an archive that another program has made it:
	// one of ours with the same paths has other bytes.
	Foreign bool
	// Paths are in their order in the layer. No path is in two layers of a plan;
	// archives of others may have it so.
	Paths []store.Path
}

// Groups returns the store paths of each layer.
func (p *Plan) Groups() [][]store.Path {
	groups := make([][]store.Path, len(p.Layers))
	for i := range p.Layers {
		groups[i] = p.Layers[i].Paths
	}
	return groups
}

// Watch is given each file that is opened, and returns what is read in its stead: it
// may count. It is nil for nobody.
type Watch func(f *input.File) io.Reader

func (w Watch) reader(f *input.File) io.Reader {
	if w == nil {
		return f
	}
	return w(f)
}

// Open reads a file, and has it watched unless it is a graph. `FILE#KEY`, for a
// file that is an object with a references graph under that key, and a directory
// with registration text in it are taken as package host takes them. What is
// malformed is an error of class fault.Refused; an archive whose bytes are not
// what its digests say, of class fault.Integrity.
func Open(ctx context.Context, name string, watch Watch) (*Plan, error) {
	info, err := os.Stat(name)
	if _, _, key := strings.Cut(filepath.Base(name), "#"); key && errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir() {
		return openGraph(ctx, name)
	}
	f, err := input.Open(ctx, name)
	if err != nil {
		return nil, err // says "open FILE"
	}
	defer f.Close()
	p, err := read(ctx, watch.reader(f))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return p, nil
}

func openGraph(ctx context.Context, name string) (*Plan, error) {
	closure, err := host.Open(ctx, name)
	if errors.Is(err, syscall.EISDIR) {
		dir := filepath.Clean(name)
		err = fault.Hint(err, fmt.Sprintf("an image layout that is a directory is read as an archive of it: tar -c -C %s . >%s", fault.Word(dir), fault.Word(dir+".tar")))
	}
	if err != nil {
		return nil, err
	}
	return &Plan{Kind: Graph, Graph: closure.Infos(), References: true}, nil
}

// FindReferences reads an archive, of which Open returned p, once more, and
// finds out which store paths its files mention, as Nix does. If they mention
// none, p stays without references: it was not Nix then that made the paths. What
// is no regular file cannot be read once more, and is an error of class
// fault.Refused.
func (p *Plan) FindReferences(ctx context.Context, name string, watch Watch) error {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		err := fmt.Errorf("read %s for references: it is no file that can be read twice", name)
		return refused(fault.Hint(err, "write it to a file, or give a plan: what terrine plan --json prints"))
	}
	paths := make([]store.Path, len(p.Graph))
	for i, info := range p.Graph {
		paths[i] = info.Path
	}
	f, err := input.Open(ctx, name)
	if err != nil {
		return err
	}
	defer f.Close()
	found, err := inspect.References(ctx, watch.reader(f), paths)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	for _, info := range p.Graph {
		info.References = found[info.Path]
		p.References = p.References || len(info.References) > 0
	}
	return nil
}

// peekSize is how much is looked at to tell what a file is: more than editors
// put blanks in front of anything.
const peekSize = 4096

// read reads a file from r, with the errors of Open.
func read(ctx context.Context, r io.Reader) (*Plan, error) {
	b := bufio.NewReaderSize(r, peekSize)
	head, err := b.Peek(peekSize)
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch text := bytes.TrimLeft(head, " \t\r\n"); {
	case len(text) == 0:
		return nil, unknown(errors.New("nothing in it"))
	case bytes.IndexByte(head, 0) >= 0: // a tar, whatever its first member is called
	case text[0] == '{':
		return readJSON(ctx, b)
	case text[0] == '[':
		infos, err := host.ParseGraph(b, "")
		return &Plan{Kind: Graph, Graph: infos, References: true}, err
	case text[0] == '/':
		infos, err := host.ParseRegistration(b)
		return &Plan{Kind: Graph, Graph: infos, References: true}, err
	}
	return readArchive(ctx, b)
}

func unknown(err error) error {
	return fault.New(fault.Refused, fault.Hint(err,
		"give an image archive, what `terrine plan --json` prints, or a references graph"))
}

// creator is who made a layer, as package image writes into the history.
const creator = "terrine"

func readArchive(ctx context.Context, r io.Reader) (*Plan, error) {
	images, err := inspect.Read(ctx, r)
	if err != nil {
		return nil, err
	}
	if len(images) != 1 {
		return nil, refused(fmt.Errorf("%d images in it: want an archive of one", len(images)))
	}
	return planOf(&images[0]), nil
}

// planOf returns the plan that an image in an archive was made by.
func planOf(image *inspect.Image) *Plan {
	p := &Plan{Kind: Archive}
	sizes := map[store.Path]int64{}
	for _, l := range image.Layers {
		if len(l.Paths) == 0 {
			continue // a root layer, or one that has nothing of a store
		}
		layer := Layer{Size: l.TarSize, Foreign: l.CreatedBy != creator}
		for _, found := range l.Paths {
			path := store.Path(found.Path)
			layer.Paths = append(layer.Paths, path)
			sizes[path] += min(found.Size, math.MaxInt64-sizes[path]) // sparse files may claim any number
		}
		p.Layers = append(p.Layers, layer)
	}
	p.Graph = bareGraph(sizes)
	return p
}

// bareGraph knows of paths and sizes alone.
func bareGraph(sizes map[store.Path]int64) []*store.Info {
	graph := make([]*store.Info, 0, len(sizes))
	for _, path := range slices.Sorted(maps.Keys(sizes)) {
		graph = append(graph, &store.Info{Path: path, NARSize: sizes[path]})
	}
	return graph
}
