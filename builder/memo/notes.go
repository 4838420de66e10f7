package memo

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"iter"
	"slices"

	"github.com/opencontainers/go-digest"

	"terrine/builder/layer"
	"terrine/store"
)

// Notes are what is to become rows of segments. A build makes one or two for every path
// of a closure, so they are small: the rows are made when they are written.
type notes struct {
	scaffolds noteList[scaffoldNote]
	parts     noteList[partsNote]
	codecs    []string // that partsNotes number
}

// A rawKey is the key of a segment without its text.
type rawKey [sha256.Size]byte

func raw(key digest.Digest) (k rawKey) {
	if _, err := hex.Decode(k[:], []byte(key.Encoded())); err != nil {
		panic(err) // it is the digest of something
	}
	return k
}

func (k *rawKey) digest() digest.Digest { return digest.NewDigestFromBytes(digest.SHA256, k[:]) }

// A scaffoldNote says what a segment's scaffold says. One of what was found, and not
// kept by this build, has no length of a file and no sum.
type scaffoldNote struct {
	rawKey
	path    store.Path
	size    int64
	content int64
	entries int
	file    int64
	sum     layer.Sum
}

// A partsNote is that for encoded parts.
type partsNote struct {
	rawKey
	size  int64
	file  int64
	sum   layer.Sum
	codec uint8
}

func (n *notes) addParts(key digest.Digest, codec string, size, file int64, sum layer.Sum) {
	at := slices.Index(n.codecs, codec)
	if at < 0 {
		at = len(n.codecs)
		n.codecs = append(n.codecs, codec)
	}
	n.parts.add(partsNote{raw(key), size, file, sum, uint8(at)})
}

func (n *notes) addScaffold(key digest.Digest, path store.Path, s *layer.Scaffold, file int64, sum layer.Sum) {
	n.scaffolds.add(scaffoldNote{raw(key), path, s.Size, s.Content, s.Entries, file, sum})
}

// drop removes what is noted of segments.
func (n *notes) drop(keys []digest.Digest) {
	gone := make(map[rawKey]bool, len(keys))
	for _, key := range keys {
		gone[raw(key)] = true
	}
	n.scaffolds.keep(func(s *scaffoldNote) bool { return !gone[s.rawKey] })
	n.parts.keep(func(p *partsNote) bool { return !gone[p.rawKey] })
}

// A run is notes of one kind, sorted by key; those of one key are in the order in which
// they were made.
type run struct {
	key  func() (rawKey, bool) // of the first that is left
	take func(row *Segment)    // the first, into the row of its segment
}

func (n *notes) runs() []run {
	return []run{
		sortedRun(&n.scaffolds, func(s *scaffoldNote) *rawKey { return &s.rawKey }, (*scaffoldNote).into),
		sortedRun(&n.parts, func(p *partsNote) *rawKey { return &p.rawKey }, func(p *partsNote, row *Segment) { p.into(row, n.codecs[p.codec]) }),
	}
}

func sortedRun[T any](list *noteList[T], key func(*T) *rawKey, into func(*T, *Segment)) run {
	order := make([]uint32, list.n)
	for i := range order {
		order[i] = uint32(i)
	}
	compare := func(a, b uint32) int { return bytes.Compare(key(list.at(a))[:], key(list.at(b))[:]) }
	slices.SortStableFunc(order, compare)
	return run{
		key: func() (k rawKey, ok bool) {
			if len(order) == 0 {
				return k, false
			}
			return *key(list.at(order[0])), true
		},
		take: func(row *Segment) {
			into(list.at(order[0]), row)
			order = order[1:]
		},
	}
}

func (s *scaffoldNote) into(row *Segment) {
	row.Path, row.Size, row.Content, row.Entries = string(s.path), s.size, s.content, s.entries
	if s.file > 0 {
		row.Files, row.Sum = row.Files.with(scaffoldKind, s.file), &s.sum
	}
}

func (p *partsNote) into(row *Segment, codec string) {
	row.Encoded = row.Encoded.with(codec, p.size)
	if p.file > 0 {
		row.Files, row.Sum = row.Files.with(encodedKind(codec), p.file), &p.sum
	}
}

// A keyedSegment is a row of a segment.
type keyedSegment struct {
	key digest.Digest
	row Segment
}

// rows returns rows of all that is noted, sorted by key. What later notes say holds.
func rows(all ...*notes) iter.Seq[keyedSegment] {
	var runs []run
	for _, n := range all {
		runs = append(runs, n.runs()...)
	}
	return func(yield func(keyedSegment) bool) {
		for {
			var least rawKey
			found := false
			for _, r := range runs {
				if k, ok := r.key(); ok && (!found || bytes.Compare(k[:], least[:]) < 0) {
					least, found = k, true
				}
			}
			if !found {
				return
			}
			s := keyedSegment{key: least.digest()}
			for _, r := range runs {
				for k, ok := r.key(); ok && k == least; k, ok = r.key() {
					r.take(&s.row)
				}
			}
			if !yield(s) {
				return
			}
		}
	}
}

// A noteList is a list that grows without being copied.
type noteList[T any] struct {
	blocks [][]T
	n      int
}

const noteBlock = 1024

func (l *noteList[T]) add(v T) {
	if l.n == len(l.blocks)*noteBlock {
		l.blocks = append(l.blocks, make([]T, 0, noteBlock))
	}
	last := &l.blocks[len(l.blocks)-1]
	*last = append(*last, v)
	l.n++
}

func (l *noteList[T]) at(i uint32) *T { return &l.blocks[i/noteBlock][i%noteBlock] }

// keep removes what wanted does not want.
func (l *noteList[T]) keep(wanted func(*T) bool) {
	old := *l
	*l = noteList[T]{}
	for i := range old.n {
		if v := old.at(uint32(i)); wanted(v) {
			l.add(*v)
		}
	}
}
