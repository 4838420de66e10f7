package planfile

import (
	"encoding/json"
	"io"

	"github.com/opencontainers/go-digest"

	"terrine/store"
)

// version is that of plans in JSON.
const version = 1

// Document is a plan in JSON, as `terrine plan --json` writes it; docs/formats.md
// describes it. Sizes are in bytes, and those of layers are sums of NAR sizes.
type Document struct {
	Version  int             `json:"version"` // Write sets it
	Layers   []DocumentLayer `json:"layers"`  // bottom first; not nil
	Root     *DocumentRoot   `json:"root,omitempty"`
	Expected DocumentCost    `json:"expected"`
	Compared *Comparison     `json:"compared,omitempty"`
	Graph    json.RawMessage `json:"graph,omitempty"` // what FormatGraph returns
}

// DocumentLayer is a layer in a Document.
type DocumentLayer struct {
	Key         digest.Digest   `json:"key"`
	Name        string          `json:"name,omitempty"` // of the pin that made it
	Size        int64           `json:"size"`
	Common      string          `json:"common"`
	Probability float64         `json:"probability"` // that the next update changes it
	Pull        int64           `json:"pull"`
	Share       float64         `json:"share"`
	Causes      []DocumentCause `json:"causes"` // not nil
	Paths       []store.Path    `json:"paths"`
}

// DocumentCause is a package with whose updates a layer changes.
type DocumentCause struct {
	Package string  `json:"package"`
	Rate    float64 `json:"rate"`
	Share   float64 `json:"share"`
}

// DocumentRoot is the layer on top, which has no store paths.
type DocumentRoot struct {
	Key digest.Digest `json:"key"`
}

// DocumentCost is what hosts are expected to fetch at the next update.
type DocumentCost struct {
	Pull         int64         `json:"pull"`
	Chain        int64         `json:"chain"`
	WithoutRates *DocumentCost `json:"withoutRates,omitempty"`
}

// Comparison is what is different from an image that a host has. The sizes of
// layers of an archive that are gone are those of their tar.
type Comparison struct {
	Layers []string    `json:"layers"`         // "kept" or "new", as the plan has them
	Root   string      `json:"root,omitempty"` // the same of the root layer, if both plans have its key
	Gone   []GoneLayer `json:"gone"`
	Kept   int64       `json:"kept"`  // bytes of the layers that the host has
	Pull   int64       `json:"pull"`  // of those that it has not
	Chain  int64       `json:"chain"` // of those from the first that differs in its place
}

// GoneLayer is a layer of the old image that is not in the new one.
type GoneLayer struct {
	Size  int64        `json:"size"`
	Paths []store.Path `json:"paths"`
}

// Joint is a plan of several images in JSON.
type Joint struct {
	Version int          `json:"version"` // Write sets it
	Images  []JointImage `json:"images"`
	Union   int64        `json:"union"` // bytes of all store paths, each once
	Joint   JointCost    `json:"joint"`
	Alone   JointCost    `json:"alone"` // the same of plans of each image by itself
}

// JointCost has bytes of the layers of all images, each once.
type JointCost struct {
	Stored int64 `json:"stored"`
	Pulled int64 `json:"pulled"` // expected, at the next update
}

// JointImage is one of the images of a Joint.
type JointImage struct {
	Spec   string        `json:"spec"` // as it was given
	Name   string        `json:"name"`
	Layers []JointLayer  `json:"layers"` // bottom first; not nil
	Root   *DocumentRoot `json:"root,omitempty"`
}

// JointLayer is a layer of a JointImage.
type JointLayer struct {
	Key    digest.Digest `json:"key"`
	Size   int64         `json:"size"`
	Images []int         `json:"images"` // which images have it, from 0
	Paths  []store.Path  `json:"paths"`
}

// Write writes the plan as Open reads it.
func (d *Document) Write(w io.Writer) error {
	d.Version = version
	return encode(w, d)
}

// Write writes the plan as OpenJoint reads it.
func (j *Joint) Write(w io.Writer) error {
	j.Version = version
	return encode(w, j)
}

// encode writes v indented and without HTML escapes, with a newline.
func encode(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// graphObject is an object of the references graph, as Nix writes it.
type graphObject struct {
	Path       store.Path   `json:"path"`
	NARHash    string       `json:"narHash"`
	NARSize    int64        `json:"narSize"`
	References []store.Path `json:"references"`
}

// FormatGraph returns the references graph of a closure as Nix writes it, and as a
// Document has it; nil for one without paths.
func FormatGraph(closure []*store.Info) (json.RawMessage, error) {
	if len(closure) == 0 {
		return nil, nil
	}
	graph := make([]graphObject, len(closure))
	for i, info := range closure {
		graph[i] = graphObject{info.Path, store.FormatHash(info.NARHash), info.NARSize, info.References}
		if info.References == nil {
			graph[i].References = []store.Path{}
		}
	}
	return json.Marshal(graph)
}
