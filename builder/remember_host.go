package builder

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"terrine/builder/memo"
	"terrine/store"
)

// A HostFunc asks a host's Nix for the closure of roots, as Sources.Host does.
type HostFunc func(ctx context.Context, roots []store.Path) ([]*store.Info, error)

// Host returns a function that asks ask, unless what it said before still holds.
// What Nix knows of a store path does not change while the path is there, so it
// holds as long as each path of the closure is, by inode and time of change, the
// file or directory that it was. scope names the store that ask asks.
func (m *Memo) Host(scope string, ask HostFunc) HostFunc {
	if m == nil {
		return ask
	}
	return func(ctx context.Context, roots []store.Path) ([]*store.Info, error) {
		key := closureKey(scope, roots)
		if was := m.memo.Closure(key); was != nil && stillThere(was) {
			return was.Infos, nil
		}
		began := m.memo.Now()
		infos, err := ask(ctx, roots)
		if err != nil {
			return nil, err
		}
		if stamps, ok := settledStamps(infos, began.Add(-clockTick)); ok {
			m.warn(m.memo.KeepClosure(key, &memo.Closure{Infos: infos, Stamps: stamps}))
		}
		return infos, nil
	}
}

// clockTick is more than a file's time of change lags behind the clock.
const clockTick = 20 * time.Millisecond

func closureKey(scope string, roots []store.Path) digest.Digest {
	names := texts(roots)
	slices.Sort(names)
	return digest.FromString(scope + "\x00" + strings.Join(names, "\n"))
}

func stillThere(c *memo.Closure) bool {
	for i, info := range c.Infos {
		if is, err := stampOf(info.Path); err != nil || is != c.Stamps[i] {
			return false
		}
	}
	return true
}

// settledStamps returns what the paths are on disk, if none of them has changed
// since before: one that has may be another than the one that was asked about.
func settledStamps(infos []*store.Info, before time.Time) ([]memo.Stamp, bool) {
	stamps := make([]memo.Stamp, len(infos))
	for i, info := range infos {
		stamp, err := stampOf(info.Path)
		if err != nil || stamp.Changed > before.UnixNano() {
			return nil, false
		}
		stamps[i] = stamp
	}
	return stamps, true
}

func stampOf(p store.Path) (memo.Stamp, error) {
	var st unix.Stat_t
	err := unix.Lstat(string(p), &st)
	return memo.Stamp{Device: uint64(st.Dev), Inode: st.Ino, Changed: st.Ctim.Nano()}, err
}
