package builder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"terrine/store/fault"
)

// vanished returns what err comes from, if that is an object of the closure that
// is not on disk though its store has it: the store is damaged.
func (p *Plan) vanished(err error) error {
	if !errors.Is(err, fs.ErrNotExist) || fault.CodeOf(err) != fault.Failed {
		return err
	}
	for i := range p.objects.Len() {
		o := p.objects.At(i)
		if _, gone := os.Lstat(filepath.Join(o.Dir, o.Path.Base())); errors.Is(gone, fs.ErrNotExist) {
			err = fmt.Errorf("read %s, which its store should have: %w", o.Path, err)
			return fault.New(fault.StoreDamaged, fault.Hint(err, "terrine store verify names what is damaged, and with --repair replaces it"))
		}
	}
	return err
}
