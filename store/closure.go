package store

import (
	"iter"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
)

// A Closure is store paths and what is known of each, sorted by path, with all that
// they refer to. It is made for very many: beside its text a path takes 45 bytes, and a
// reference four. It does not change, and any number of goroutines may read it. The
// zero value is the closure of nothing.
type Closure struct {
	paths  string     // all texts, one behind the other
	ends   []uint32   // where each ends in paths
	hashes [][32]byte // sha256 of the NARs
	sizes  []int64
	refs   []uint32 // indices, sorted: of all paths, one after the other
	last   []uint32 // where those of each path end in refs
	more   map[uint32]*Info
}

// NewClosure makes a closure of infos, which may come in any order and are not kept. A
// path that is given twice, a NAR hash that is none of sha256, and a reference to what
// is not among infos are errors.
func NewClosure(infos iter.Seq[*Info]) (*Closure, error) {
	b := NewClosureBuilder()
	for info := range infos {
		refs := make([]uint32, len(info.References))
		for k, ref := range info.References {
			refs[k] = b.number(ref)
		}
		if err := b.Add(b.number(info.Path), info, refs); err != nil {
			return nil, err
		}
	}
	return b.Closure()
}

// Len returns the number of paths. It is 0 for nil.
func (c *Closure) Len() int {
	if c == nil {
		return 0
	}
	return len(c.ends)
}

// Path returns path i.
func (c *Closure) Path(i int) Path { return Path(c.paths[before(c.ends, i):c.ends[i]]) }

// before is where the run of i begins, if runs end at ends.
func before(ends []uint32, i int) uint32 {
	if i == 0 {
		return 0
	}
	return ends[i-1]
}

// NARSize returns the bytes of the NAR of path i.
func (c *Closure) NARSize(i int) int64 { return c.sizes[i] }

// NARHash returns the sha256 of the NAR of path i.
func (c *Closure) NARHash(i int) digest.Digest {
	return digest.NewDigestFromBytes(digest.SHA256, c.hashes[i][:])
}

// References returns the indices of the paths that path i refers to, ascending and
// without duplicates; i may be among them. The caller must not change it.
func (c *Closure) References(i int) []uint32 { return c.refs[before(c.last, i):c.last[i]:c.last[i]] }

// Info returns all that is known of path i. It is made anew by each call.
func (c *Closure) Info(i int) *Info {
	info := &Info{Path: c.Path(i), NARHash: c.NARHash(i), NARSize: c.sizes[i]}
	if more := c.more[uint32(i)]; more != nil {
		info.Deriver, info.Signatures, info.CA = more.Deriver, slices.Clone(more.Signatures), more.CA
	}
	if refs := c.References(i); len(refs) > 0 {
		info.References = make([]Path, len(refs))
		for k, ref := range refs {
			info.References[k] = c.Path(int(ref))
		}
	}
	return info
}

// Infos returns what is known of all paths, which takes ten times the memory.
func (c *Closure) Infos() []*Info {
	infos := make([]*Info, c.Len())
	for i := range infos {
		infos[i] = c.Info(i)
	}
	return infos
}

// Find returns the index of a path. If the closure does not have it, it is that of the
// path that comes after it.
func (c *Closure) Find(p Path) (i int, ok bool) {
	low, high := 0, c.Len()
	for low < high {
		switch middle := int(uint(low+high) >> 1); strings.Compare(string(c.Path(middle)), string(p)) {
		case 0:
			return middle, true
		case -1:
			low = middle + 1
		default:
			high = middle
		}
	}
	return low, false
}
