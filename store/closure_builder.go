package store

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
)

// A ClosureBuilder takes the paths of a closure one by one. It is for one goroutine.
type ClosureBuilder struct {
	numbers map[Path]uint32
	names   []Path   // by number
	row     []uint32 // by number: which of those added it is, counted from 1
	added   []uint32 // numbers, in the order of Add
	c       Closure  // in that order, without paths; refs are numbers
}

// NewClosureBuilder returns a builder of a closure without paths.
func NewClosureBuilder() *ClosureBuilder { return &ClosureBuilder{numbers: map[Path]uint32{}} }

// Number returns the number of the path with that text in this builder, whether it was
// added or not. Nothing is checked of it.
func (b *ClosureBuilder) Number(text []byte) uint32 {
	if n, ok := b.numbers[Path(text)]; ok {
		return n
	}
	return b.number(Path(text))
}

func (b *ClosureBuilder) number(p Path) uint32 {
	n, ok := b.numbers[p]
	if !ok {
		n = uint32(len(b.names))
		b.numbers[p] = n
		b.names = append(b.names, p)
		b.row = append(b.row, 0)
	}
	return n
}

// Path returns the path of a number.
func (b *ClosureBuilder) Path(number uint32) Path { return b.names[number] }

// Added returns which of those added a path is, counted from 0, or −1.
func (b *ClosureBuilder) Added(number uint32) int { return int(b.row[number]) - 1 }

// Len returns how many paths were added.
func (b *ClosureBuilder) Len() int { return len(b.added) }

// Add adds the path of that number. Path and References of info are not looked at; refs
// are the numbers of what it refers to, in any order, and may contain duplicates. Add
// keeps neither. A path that was added already, and a NAR hash that is none of sha256,
// are errors.
func (b *ClosureBuilder) Add(number uint32, info *Info, refs []uint32) error {
	if b.row[number] != 0 {
		return fmt.Errorf("make closure: %s is given twice", b.names[number])
	}
	raw, err := rawSHA256(info.NARHash)
	if err != nil {
		return fmt.Errorf("make closure: %s: %w", b.names[number], err)
	}
	if uint64(len(b.c.refs)+len(refs)) > math.MaxUint32 {
		return fmt.Errorf("make closure: more than %d references", uint32(math.MaxUint32))
	}
	if info.Deriver != "" || info.CA != "" || len(info.Signatures) > 0 {
		if b.c.more == nil {
			b.c.more = map[uint32]*Info{}
		}
		b.c.more[uint32(len(b.added))] = &Info{Deriver: info.Deriver, Signatures: slices.Clone(info.Signatures), CA: info.CA}
	}
	b.added = append(b.added, number)
	b.row[number] = uint32(len(b.added))
	b.c.hashes = append(b.c.hashes, raw)
	b.c.sizes = append(b.c.sizes, info.NARSize)
	b.c.refs = append(b.c.refs, refs...)
	b.c.last = append(b.c.last, uint32(len(b.c.refs)))
	return nil
}

func rawSHA256(d digest.Digest) (raw [32]byte, err error) {
	text, ok := strings.CutPrefix(string(d), "sha256:")
	if !ok {
		return raw, fmt.Errorf("NAR hash %q: want sha256", d)
	}
	b, err := decodeDigest(text, len(raw), false)
	if err != nil {
		return raw, fmt.Errorf("NAR hash %q: %w", d, err)
	}
	return [32]byte(b), nil
}

// A MissingError says that a path refers to one that is not in the closure.
type MissingError struct {
	Number          uint32 // of Path, in the builder
	Path, Reference Path
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("make closure: %s refers to %s, which is not in it", e.Path, e.Reference)
}

// Closure returns the closure of all that was added, and takes it from b, which must not
// be used any more. A reference to what was not added is a [MissingError].
func (b *ClosureBuilder) Closure() (*Closure, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	b.numbers = nil
	order, place := b.order()
	n := len(order)
	c := &Closure{ends: make([]uint32, n), hashes: make([][32]byte, n), sizes: make([]int64, n), last: make([]uint32, n)}
	c.refs = make([]uint32, 0, len(b.c.refs))
	for i, at := range order {
		c.hashes[i], c.sizes[i] = b.c.hashes[at], b.c.sizes[at]
		start := len(c.refs)
		for _, ref := range b.c.References(int(at)) {
			c.refs = append(c.refs, place[ref])
		}
		slices.Sort(c.refs[start:])
		c.refs = c.refs[:start+len(slices.Compact(c.refs[start:]))]
		c.last[i] = uint32(len(c.refs))
		if more := b.c.more[at]; more != nil {
			if c.more == nil {
				c.more = make(map[uint32]*Info, len(b.c.more))
			}
			c.more[uint32(i)] = more
		}
	}
	b.c = Closure{}
	return c, b.join(c, order)
}

// order returns which of those added come one after the other in the closure, and the
// place in it of each number.
func (b *ClosureBuilder) order() (order, place []uint32) {
	order, place = make([]uint32, len(b.added)), make([]uint32, len(b.names))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(x, y uint32) int { return cmp.Compare(b.names[b.added[x]], b.names[b.added[y]]) })
	for i, at := range order {
		place[b.added[at]] = uint32(i)
	}
	return order, place
}

// join gives c its paths.
func (b *ClosureBuilder) join(c *Closure, order []uint32) error {
	length := 0
	for _, number := range b.added {
		length += len(b.names[number])
	}
	if uint64(length) > math.MaxUint32 {
		return fmt.Errorf("make closure: paths of more than %d bytes", uint32(math.MaxUint32))
	}
	var paths strings.Builder
	paths.Grow(length)
	for i, at := range order {
		paths.WriteString(string(b.names[b.added[at]]))
		c.ends[i] = uint32(paths.Len())
	}
	c.paths = paths.String()
	return nil
}

func (b *ClosureBuilder) check() error {
	for i, number := range b.added {
		for _, ref := range b.c.References(i) {
			if b.row[ref] == 0 {
				return &MissingError{number, b.names[number], b.names[ref]}
			}
		}
	}
	return nil
}
