// Package layer turns store objects into the layers of an image.
//
// A layer is a tar archive: the store directory's own entries, a segment for
// each store object, two blocks of zeros. What a segment holds, and in which
// order, follows from the object alone, so a Scaffold (names, types and sizes,
// from a walk that reads no contents) says how long everything will be before
// any file is opened. A Packer then reads each file once and hands on the
// bytes, to a place in a file that is known in advance or in order to a
// stream, hashing them on the way.
//
// The bytes are a function of the objects and the owner: of no clock, user,
// machine, number of workers or state of a cache. Headers are built field by
// field, modes are canonical (0555 for directories and executables, 0444 for
// files, 0777 for symlinks), and entries are sorted by name within each directory.
// Hardlinks on disk never show: where a policy asks for some, they are of files
// with equal contents.
package layer

import (
	"strings"

	"github.com/opencontainers/go-digest"

	"terrine/store"
)

// Format is the version of the layers' format. It changes when the bytes of
// any layer change, and is part of every key.
const Format = 1

// A Layer is a layer that is ready to be packed: its length is known, its
// contents are not yet read. It does not change while it is packed.
type Layer struct {
	// DiffID is the digest of the uncompressed tar if that is known from before;
	// a Packer then takes it as it is and hashes nothing. Else it is empty.
	DiffID digest.Digest

	Size    int64 // bytes of the uncompressed tar
	Content int64 // bytes of file content in it
	Entries int   // number of tar entries

	head, tail segment        // nil for none
	objects    objectSegments // between them
}

// end is the end of a tar archive.
func end() literal { return make(literal, 2*blockSize) }

// New makes the layer that holds objects in their order. scaffolds are theirs,
// made for the same policy. All objects must be of one store directory. The layer
// keeps objects and scaffolds, which must not change afterwards.
func New(policy Policy, objects store.Objects, scaffolds []*Scaffold) *Layer {
	l := &Layer{objects: objectSegments{policy: policy, objects: objects, scaffolds: scaffolds}, tail: end()}
	if objects.Len() > 0 {
		dir := objects.Path(0).Dir()
		l.objects.prefix = storePrefix(string(dir))
		l.head = storeDirs(dir, &policy.Owner)
		l.Size += l.head.bytes()
		l.Entries += strings.Count(string(dir), "/")
	}
	for _, s := range scaffolds {
		l.Content += s.Content
		l.Size += s.Size
		l.Entries += s.Entries
	}
	l.Size += l.tail.bytes()
	return l
}

// segments returns a function that returns the segments in order, one a call, and nil
// after the last. Those of objects are made when they are asked for: there may be very
// many.
func (l *Layer) segments() func() segment {
	head, i, tail := l.head, 0, l.tail
	return func() (s segment) {
		switch {
		case head != nil:
			s, head = head, nil
		case i < len(l.objects.scaffolds):
			s = l.objects.at(i)
			i++
		default:
			s, tail = tail, nil
		}
		return s
	}
}

// storeDirs returns the entries of a store directory and those above it. They
// come first, for readers that want a directory before what is in it.
func storeDirs(dir store.Dir, owner *Owner) literal {
	var b []byte
	prefix := storePrefix(string(dir))
	for i := range len(prefix) {
		if prefix[i] == '/' {
			b = appendHeader(b, &header{name: prefix[:i+1], kind: kindDir, mode: 0o755, owner: owner})
		}
	}
	return b
}

// Sum returns the sum of the layer's segments, which of says by their keys. ok is
// false if that of one is not known.
func (l *Layer) Sum(of func(key digest.Digest) (Sum, bool)) (sum Sum, ok bool) {
	for i := range l.objects.scaffolds {
		next, ok := of(l.objects.at(i).key())
		if !ok {
			return 0, false
		}
		sum = sum.And(next)
	}
	return sum, true
}

// tasks returns a function that returns the layer's tasks, one a call.
func (l *Layer) tasks(index int) func() (task, bool) {
	segments := l.segments()
	ahead := segments()
	var queue []task
	offset := int64(0)
	return func() (task, bool) {
		for len(queue) == 0 && ahead != nil {
			queue = segmentTasks(ahead, index)
			ahead = segments()
		}
		if len(queue) == 0 {
			return task{}, false
		}
		t := queue[0]
		queue = queue[1:]
		t.last = len(queue) == 0 && ahead == nil
		t.offset = offset
		offset += int64(t.part.size)
		return t, true
	}
}

func segmentTasks(s segment, layer int) (tasks []task) {
	run := &segmentRun{segment: s}
	s.parts(func(p part) {
		tasks = append(tasks, task{run: run, part: p, index: run.parts, layer: layer})
		run.parts++
	})
	return tasks
}
