package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"

	"terrine/store/durable"
	"terrine/store/fault"
	"terrine/store/nar"
)

// How much of a stream is made valid at a time. Every batch costs a wait for
// the disk, and a crash costs the batch. Each object of one costs an open file, its
// lock, and no more than a part of those that there may be are taken.
const (
	batchObjects   = 1000
	batchFilesPart = 2
	batchBytes     = 1 << 30
)

// Export writes the given paths, and not their closure, as the stream that
// `nix-store --import` and ImportStream read; paths that others of them refer
// to come first. If one is not valid, errors.Is(err, ErrNotFound).
//
// The paths are then in use, as by Hold. Every object is compared with its
// hash on the way. One that is damaged is an error of class fault.StoreDamaged,
// and the stream then one that no importer accepts.
func (s *Store) Export(ctx context.Context, w io.Writer, paths ...Path) error {
	err := s.ownAll(paths...)
	if err == nil {
		err = s.hold(ctx, paths)
	}
	var infos []*Info
	if err == nil {
		infos, err = s.referencesFirst(ctx, paths)
	}
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	s.stage("export", infos)
	for _, info := range infos {
		err := exportObject(w, info, func(w io.Writer) error { return s.Dump(ctx, w, info.Path) })
		if fault.CodeOf(err) == fault.Integrity {
			err = fault.New(fault.StoreDamaged, fault.Hint(err, verifyHint))
		}
		if err != nil {
			return fmt.Errorf("export %s: %w", info.Path, err)
		}
		s.o.Progress.Add(info.NARSize)
	}
	if err := endExport(w); err != nil {
		return fmt.Errorf("end export: %w", err)
	}
	return nil
}

const verifyHint = "run: terrine store verify"

// Dump writes the NAR of the object of p, which must be valid and in use. It does not
// compare it with its hash; an object that is missing, or has in it what no store
// object has, is of class fault.StoreDamaged.
func (s *Store) Dump(ctx context.Context, w io.Writer, p Path) error {
	err := nar.Dump(ctx, w, s.objectPath(p))
	if errors.Is(err, fs.ErrNotExist) || fault.CodeOf(err) == fault.Refused {
		return fault.New(fault.StoreDamaged, fault.Hint(err, verifyHint))
	}
	return err
}

// referencesFirst returns what the store knows of paths, each once, those
// that others of them refer to before the others.
func (s *Store) referencesFirst(ctx context.Context, paths []Path) ([]*Info, error) {
	asked := make(map[Path]*Info, len(paths))
	err := s.db.View(ctx, func(tx *durable.Tx) error {
		for _, p := range paths {
			r, err := s.get(tx, p)
			if err != nil {
				return err
			}
			if r == nil {
				return notFound(p)
			}
			asked[p] = &r.Info
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var order []*Info
	var visit func(p Path)
	visit = func(p Path) {
		info := asked[p]
		if info == nil {
			return // not asked for, or done
		}
		delete(asked, p)
		for _, ref := range info.References {
			visit(ref)
		}
		order = append(order, info)
	}
	for _, p := range sortedSet(paths) {
		visit(p)
	}
	return order, nil
}

// ImportStream makes valid what is in a stream of `nix-store --export` or
// Export, and returns it in the order of the stream, what was valid already
// included. On an error, what it returns is what is valid nevertheless; the
// same stream may be imported again.
//
// A stream that is malformed, or whose objects come before those that they
// refer to, is of class fault.Refused. A stream has no hashes to check its
// contents by: who imports one trusts where it comes from.
func (s *Store) ImportStream(ctx context.Context, r io.Reader) ([]*Info, error) {
	most := min(batchObjects, durable.OpenFiles()/batchFilesPart)
	i := &importer{s: s, r: newExportReader(r), most: most, seen: make(map[Path]bool)}
	err := i.run(ctx)
	if err != nil {
		abandoned := i.abandon()
		err = i.s.full(fmt.Errorf("import: %w", err), "more than "+strconv.FormatInt(i.bytes, 10))
		err = errors.Join(err, abandoned)
	}
	return i.done, err
}

// importer collects objects of a stream until they make a batch.
type importer struct {
	s     *Store
	r     *exportReader
	most  int            // objects of a batch
	batch *durable.Batch // nil while nothing is staged
	temps []*staged
	bytes int64
	seen  map[Path]bool // what has come in the stream so far
	done  []*Info
}

func (i *importer) run(ctx context.Context) error {
	for {
		n, err := i.r.Next()
		if err == io.EOF {
			return i.flush(ctx)
		}
		if err != nil {
			return err
		}
		if err := i.stage(ctx, n); err != nil {
			return err
		}
		if len(i.temps) >= i.most || i.bytes >= batchBytes {
			if err := i.flush(ctx); err != nil {
				return err
			}
		}
	}
}

// stage extracts the next object. Only after its NAR does the stream say what
// it was.
func (i *importer) stage(ctx context.Context, n io.Reader) error {
	if i.batch == nil {
		batch, err := i.s.newBatch()
		if err != nil {
			return err
		}
		i.batch = batch
	}
	temp, err := i.s.newObject(ctx)
	if err != nil {
		return err
	}
	i.temps = append(i.temps, &staged{temp: temp})
	err = nar.Extract(ctx, n, temp, i.batch.Ahead)
	i.bytes += i.r.nar.sum.size
	if i.r.nar.err != nil {
		return i.r.locate(i.r.nar.err)
	}
	if err != nil {
		return fault.Rename(err, temp, fmt.Sprintf("object %d", i.r.count))
	}
	info, err := i.r.Info()
	if err != nil {
		return err
	}
	if info, err = i.s.normal(info); err != nil {
		return fault.New(fault.Refused, err)
	}
	if i.seen[info.Path] {
		return fault.New(fault.Refused, fmt.Errorf("%s stands twice in the stream", info.Path))
	}
	i.seen[info.Path] = true
	if err := i.s.hold(ctx, append([]Path{info.Path}, info.References...)); err != nil {
		return err
	}
	i.temps[len(i.temps)-1].info = info
	// What it refers to has come before it, or is valid.
	return i.s.referencesValid(ctx, info, func(p Path) bool { return i.seen[p] })
}

// flush makes valid what is staged, except what has become so meanwhile.
func (i *importer) flush(ctx context.Context) (err error) {
	if len(i.temps) == 0 {
		return nil
	}
	infos := make([]*Info, len(i.temps))
	for n, o := range i.temps {
		infos[n] = o.info
	}
	locks, err := i.s.lock(ctx, paths(infos)...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, locks.Remove()) }()
	valid, err := i.s.haveAll(ctx, infos...)
	if err != nil {
		return err
	}
	var rest []*staged
	for n, o := range i.temps {
		if !valid[n] {
			rest = append(rest, o)
		} else if err := removeTree(o.temp); err != nil {
			return err
		}
	}
	if len(rest) > 0 {
		if err := i.s.publish(ctx, &locks, i.batch, rest); err != nil {
			return err
		}
	}
	i.done = append(i.done, infos...)
	i.temps, i.bytes = nil, 0
	return i.close()
}

func (i *importer) close() error {
	if i.batch == nil {
		return nil
	}
	b := i.batch
	i.batch = nil
	return b.Close()
}

// abandon removes what is staged.
func (i *importer) abandon() error {
	return errors.Join(i.s.discard(i.temps), i.close())
}
