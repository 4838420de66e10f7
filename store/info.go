package store

import (
	"errors"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
)

// ErrNotFound says that a store path is not valid in the store asked.
var ErrNotFound = errors.New("store path not found")

// Info is what a store knows of a valid path.
type Info struct {
	Path       Path
	NARHash    digest.Digest // sha256 of the NAR
	NARSize    int64         // bytes of the NAR
	References []Path        // sorted, without duplicates; may include Path itself
	Deriver    Path          // the derivation that made it; empty if unknown
	Signatures []string      // "key:base64", sorted; empty if none
	CA         string        // content address as Nix writes it; empty if input-addressed
}

// Fields calls field with all but Path, as a narinfo has it and in its order.
func (i *Info) Fields(field func(name, value string)) {
	field("NarHash", FormatHash(i.NARHash))
	field("NarSize", strconv.FormatInt(i.NARSize, 10))
	bases := make([]string, len(i.References))
	for k, ref := range i.References {
		bases[k] = ref.Base()
	}
	field("References", strings.Join(bases, " "))
	if i.Deriver != "" {
		field("Deriver", i.Deriver.Base())
	}
	for _, sig := range i.Signatures {
		field("Sig", sig)
	}
	if i.CA != "" {
		field("CA", i.CA)
	}
}

// Object is a store object as a reader of its files needs it: what it is, and
// the directory on disk in which it lies under its base name. For a host
// store, Dir is the store directory itself; for terrine's own, ROOT/nix/store.
type Object struct {
	Info
	Dir string
}

// Objects are store objects in an order. Any number of goroutines may call the methods.
type Objects interface {
	// Len returns how many there are.
	Len() int
	// Path returns the path of the one at index i.
	Path(i int) Path
	// At returns the one at index i. It may be made anew by each call.
	At(i int) Object
}

// An ObjectList is Objects of which all is at hand.
type ObjectList []Object

// Len implements Objects.
func (l ObjectList) Len() int { return len(l) }

// Path implements Objects.
func (l ObjectList) Path(i int) Path { return l[i].Path }

// At implements Objects.
func (l ObjectList) At(i int) Object { return l[i] }

// Tops returns the paths of infos, each once and in their order, that no other of
// them refers to: who keeps those from the garbage collector keeps all.
func Tops(infos []*Info) []Path {
	below := make(map[Path]bool)
	for _, info := range infos {
		for _, ref := range info.References {
			if ref != info.Path {
				below[ref] = true
			}
		}
	}
	var tops []Path
	for _, info := range infos {
		if !below[info.Path] {
			tops = append(tops, info.Path)
			below[info.Path] = true // once
		}
	}
	return tops
}
