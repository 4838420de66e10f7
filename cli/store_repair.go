package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"terrine/store"
	"terrine/store/binarycache"
	"terrine/store/fault"
)

// repairFlags say whether, and from where, what is damaged is to be replaced.
type repairFlags struct {
	repair bool
	from   string
	keys   []string
	netrc  string
}

func (r *repairFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&r.repair, "repair", false, "replace what is damaged")
	flags.StringVar(&r.from, "from", "", "`place` to take it from: the directory of another store, or the URL of a\nNix binary cache (default: the host's Nix)")
	flags.StringArrayVar(&r.keys, "trusted-public-key", nil, "`NAME:BASE64` of a key that may sign paths of the cache (repeatable;\ndefault: that of cache.nixos.org)")
	flags.StringVar(&r.netrc, "netrc", "", "`file` with logins for the cache")
}

func (r *repairFlags) check() error {
	if !r.repair && (r.from != "" || r.keys != nil || r.netrc != "") {
		return usagef("--from, --trusted-public-key and --netrc are for --repair")
	}
	return nil
}

// repairSource opens the place that the flags name. It is to be closed.
func (a *app) repairSource(ctx context.Context, f *storeFlags, r *repairFlags, dir store.Dir) (store.Source, io.Closer, error) {
	switch {
	case r.from == "":
		return store.ObjectSource(string(dir), func(ctx context.Context, roots ...store.Path) ([]*store.Info, error) {
			return hostClosure(ctx, roots)
		}), io.NopCloser(nil), nil
	case strings.Contains(r.from, "://"):
		cache, err := a.openCache(ctx, r.from, r.keys, r.netrc, binarycache.Options{StoreDir: dir, Now: a.Now})
		if err != nil {
			return nil, nil, err
		}
		return cacheSource(cache), cache, nil
	}
	if _, err := os.Stat(filepath.Join(r.from, "nix", "store")); err != nil { // it would be made
		err = fault.New(fault.Refused, fmt.Errorf("repair from %s: there is no store: %w", r.from, err))
		return nil, nil, fault.Hint(err, "a binary cache is file:///DIRECTORY")
	}
	other, err := a.openStore(ctx, &storeFlags{root: r.from, timeout: f.timeout})
	if err != nil {
		return nil, nil, err
	}
	return store.ObjectSource(other.RealDir(), other.Hold), other, nil
}

func cacheSource(cache *binarycache.Cache) store.Source {
	return func(ctx context.Context, p store.Path) (*store.Info, io.ReadCloser, error) {
		n, err := cache.Info(ctx, p)
		if err != nil {
			return nil, nil, err
		}
		return &n.Info, cache.NAR(ctx, n), nil
	}
}

// shownSource begins a stage of p for each object that is taken from a source.
func shownSource(from store.Source, p *progress) store.Source {
	return func(ctx context.Context, path store.Path) (*store.Info, io.ReadCloser, error) {
		info, r, err := from(ctx, path)
		if err != nil {
			return nil, nil, err
		}
		p.Stage("repair "+shortName(path.Name()), info.NARSize)
		return info, struct {
			io.Reader
			io.Closer
		}{&shownReader{r, p}, r}, nil
	}
}

// repair replaces damaged paths, and shows it. It returns those that could not be.
func (a *app) repair(ctx context.Context, s *store.Store, f *storeFlags, r *repairFlags, damaged []damageJSON, p *progress) (left []damageJSON, err error) {
	from, closer, err := a.repairSource(ctx, f, r, s.Dir())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closer.Close()) }()
	from = shownSource(from, p)
	left = []damageJSON{}
	for _, d := range damaged {
		err := s.Repair(ctx, d.Path, from)
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case err == nil:
			a.say("repaired " + string(d.Path))
		case endsRepairs(ctx, err):
			return nil, err
		default:
			left = append(left, damageJSON{d.Path, d.Error})
			a.say(sentence(err))
		}
	}
	return left, nil
}

// endsRepairs reports whether the next path would fare as the one that err is about.
func endsRepairs(ctx context.Context, err error) bool {
	code := exitCode(ctx, err, false)
	return code == int(fault.IO) || code == int(fault.Busy)
}
