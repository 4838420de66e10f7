package layer

import (
	"os"
	"path/filepath"
	"time"

	"terrine/builder/rootfs"
)

// Suspect returns the path of the file in the layer that was modified last,
// and so of the one that has most likely changed when the layer's bytes turn
// out to be others than before. It looks at every file, but reads none. The
// path is empty when the layer has no file.
func (l *Layer) Suspect() string {
	var s suspect
	for _, segment := range l.segments {
		switch segment := segment.(type) {
		case *objectSegment:
			s.lookAtObject(segment)
		case *treeSegment:
			s.lookAtTree(segment)
		}
	}
	return s.path
}

// suspect is the file modified last of those looked at.
type suspect struct {
	path     string
	modified time.Time
}

// lookAt considers one file. One that is gone is more suspect than any.
func (s *suspect) lookAt(path string) {
	modified := time.Unix(1<<62, 0)
	if info, err := os.Lstat(path); err == nil {
		modified = info.ModTime()
	}
	if s.path == "" || modified.After(s.modified) {
		s.path, s.modified = path, modified
	}
}

func (s *suspect) lookAtObject(o *objectSegment) {
	c := cursor{records: o.scaffold.records}
	var e entry
	for {
		ok, err := c.next(o.base, &e)
		if !ok || err != nil {
			return
		}
		if e.tag == tagFile || e.tag == tagExec {
			s.lookAt(filepath.Join(o.object.Dir, string(e.path)))
		}
	}
}

func (s *suspect) lookAtTree(t *treeSegment) {
	for i := range t.entries {
		if e := &t.entries[i]; e.Kind == rootfs.File && e.Text == nil {
			s.lookAt(e.Source)
		}
	}
}
