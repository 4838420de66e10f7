package rootfs

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
)

// alike reports whether two claimants of a path hold the same: links with one
// target, or files, behind links or not, with the same bytes and the same
// executable bit.
func (b *build) alike(p, q place) (bool, error) {
	if same, err := b.sameLink(p, q); err != nil || same {
		return same, err
	}
	p, pi, err := b.objects.resolve(p)
	if err != nil || pi == nil {
		return false, err
	}
	q, qi, err := b.objects.resolve(q)
	if err != nil || qi == nil {
		return false, err
	}
	if p.object.Path == q.object.Path && p.rel == q.rel {
		return true, nil
	}
	if !pi.Mode().IsRegular() || !qi.Mode().IsRegular() || pi.Size() != qi.Size() || executable(pi) != executable(qi) {
		return false, nil
	}
	f, err := b.objects.open(p)
	if err != nil {
		return false, err
	}
	defer f.Close()
	g, err := b.objects.open(q)
	if err != nil {
		return false, err
	}
	defer g.Close()
	same, err := b.sameBytes(f, g)
	if err != nil {
		return false, fmt.Errorf("compare %s with %s: %w", p.logical(), q.logical(), err)
	}
	return same, nil
}

// sameLink reports whether both are links and have the same target.
func (b *build) sameLink(p, q place) (bool, error) {
	var targets [2]string
	for i, at := range []place{p, q} {
		info, err := b.objects.lstat(at)
		if err != nil || info.Mode()&fs.ModeSymlink == 0 {
			return false, err
		}
		if targets[i], err = b.objects.readlink(at); err != nil {
			return false, err
		}
	}
	return targets[0] == targets[1], nil
}

// sameBytes reads two streams to the first difference.
func (b *build) sameBytes(f, g io.Reader) (bool, error) {
	x, y := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		if err := b.ctx.Err(); err != nil {
			return false, err
		}
		n, err := readFull(f, x)
		if err != nil {
			return false, err
		}
		m, err := readFull(g, y)
		if err != nil || !bytes.Equal(x[:n], y[:m]) {
			return false, err
		}
		if n < len(x) {
			return true, nil
		}
	}
}

// readFull is io.ReadFull to which the end of the stream is no error.
func readFull(r io.Reader, p []byte) (int, error) {
	n, err := io.ReadFull(r, p)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return n, err
}

func executable(info fs.FileInfo) bool { return info.Mode()&0o100 != 0 }
