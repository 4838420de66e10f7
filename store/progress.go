package store

import "iter"

// Progress is told how work goes on that may go through the whole store: Verify,
// Rebuild, Optimise, GC, Delete and Export. It is called by the goroutine that called
// these, and must not block for long.
type Progress interface {
	// Stage begins a stage, and ends the one before. It goes through objects of total
	// bytes, as NARs; 0 is not known.
	Stage(name string, total int64)
	// Add says that an object, or a file, of n bytes is done.
	Add(n int64)
}

type silent struct{}

func (silent) Stage(string, int64) {}
func (silent) Add(int64)           {}

// sizeOf is the sum of NAR sizes.
func sizeOf(records iter.Seq[*record]) (total int64) {
	for r := range records {
		total += r.NARSize
	}
	return total
}

// stage begins a stage for the objects of infos.
func (s *Store) stage(name string, infos []*Info) {
	var total int64
	for _, info := range infos {
		total += info.NARSize
	}
	s.o.Progress.Stage(name, total)
}
