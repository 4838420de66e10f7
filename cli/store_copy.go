package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/spf13/cobra"

	"terrine/store"
	"terrine/store/binarycache"
	"terrine/store/compression"
	"terrine/store/fault"
	"terrine/store/input"
)

// maxSecretKey bounds the file of a key, which has about a hundred bytes.
const maxSecretKey = 4 << 10

type copyFlags struct {
	from, to    string
	keys        []string
	netrc       string
	signKey     string
	compression string
	jobs        int
	asJSON      bool
	quiet       bool
	keep        keepFlag
}

const storeCopyLong = `Copy paths, with all that they refer to, from a Nix binary cache into the store
(--from), or from the store into one (--to). The paths that were not there yet are
printed.

A cache is believed nothing. A path is taken if a trusted key has signed what the
cache says of it, or if the path is the hash of its contents; everything that is
downloaded is compared with that, and nothing is in the store before it has been.
A path that is not signed by a trusted key is refused with exit code 16. A
connection that breaks is taken up again where it broke; a command that was
stopped goes on where it stopped.

Logins are taken from --netrc, else from the file that $NETRC names, else from
~/.netrc. They are sent to the cache and never to where it leads.`

func (a *app) storeCopyCommand(f *storeFlags) *cobra.Command {
	c := &copyFlags{}
	cmd := &cobra.Command{
		Use:   "copy --from|--to URL PATH…",
		Short: "Copy closures from and to Nix binary caches",
		Long:  storeCopyLong,
		Example: `  terrine store copy --from https://cache.nixos.org /nix/store/…-hello-2.12.1
  terrine store copy --from https://cache.example.org --trusted-public-key example-1:AbC… --root app /nix/store/…-app
  terrine store copy --to file:///srv/cache --sign-key example-1.secret /nix/store/…-app`,
		Args: arguments(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.check(cmd); err != nil {
				return err
			}
			open := a.withStore
			if c.to != "" {
				open = a.withPresentStore
			}
			return open(cmd, f, func(ctx context.Context, s *store.Store) error {
				paths, err := pathArguments(s, args)
				if err != nil {
					return err
				}
				return a.copyPaths(ctx, s, c, paths)
			})
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&c.from, "from", "", "`URL` of the cache to read: http:, https: or file:")
	flags.StringArrayVar(&c.keys, "trusted-public-key", nil,
		"`NAME:BASE64` of a key that may sign paths, as Nix has it (repeatable;\ndefault: that of cache.nixos.org)")
	flags.StringVar(&c.netrc, "netrc", "", "`file` with logins")
	c.keep.add(cmd)
	flags.StringVar(&c.to, "to", "", "`URL` of the cache to write: file:///DIRECTORY")
	flags.StringVar(&c.signKey, "sign-key", "", "sign with the key in `file`, as nix-store --generate-binary-cache-key\nmakes it")
	flags.StringVar(&c.compression, "compression", string(compression.Zstd), "`format` of NARs to write: zstd, xz or none")
	flags.IntVarP(&c.jobs, "jobs", "j", 0, "`N` paths at once (default: 8 to read, one for each processor to write)")
	jsonFlag(flags, &c.asJSON)
	quietFlag(flags, &c.quiet)
	return cmd
}

// check finds flags that do not go together.
func (c *copyFlags) check(cmd *cobra.Command) error {
	if (c.from == "") == (c.to == "") {
		return usagef("terrine store copy: say either --from or --to, and a URL")
	}
	for _, name := range []string{"trusted-public-key", "netrc", "root"} {
		if c.to != "" && cmd.Flags().Changed(name) {
			return usagef("--%s is for --from", name)
		}
	}
	for _, name := range []string{"sign-key", "compression"} {
		if c.from != "" && cmd.Flags().Changed(name) {
			return usagef("--%s is for --to", name)
		}
	}
	if err := checkJobs(cmd.Flags(), c.jobs); err != nil {
		return err
	}
	return c.keep.check(cmd)
}

func (a *app) copyPaths(ctx context.Context, s *store.Store, c *copyFlags, paths []store.Path) error {
	p := a.newProgress(c.quiet)
	defer p.Close()
	copyClosures := a.copyTo
	if c.from != "" {
		copyClosures = a.copyFrom
	}
	copied, err := copyClosures(ctx, s, c, p, paths)
	p.Close()
	if err != nil {
		return err
	}
	return a.printPaths(copied, c.asJSON)
}

func (a *app) copyFrom(ctx context.Context, s *store.Store, c *copyFlags, p *progress, paths []store.Path) ([]*store.Info, error) {
	o := binarycache.Options{StoreDir: s.Dir(), Workers: c.jobs, Progress: p, Now: a.Now}
	cache, err := a.openCache(ctx, c.from, c.keys, c.netrc, o)
	if err != nil {
		return nil, err
	}
	var copied []*store.Info
	err = s.Together(ctx, func(to *store.Adder) (err error) {
		copied, err = cache.Fetch(ctx, to, paths...)
		return err
	})
	if err == nil {
		err = c.keepCopied(ctx, s, paths)
	}
	return copied, errors.Join(err, cache.Close())
}

// keepCopied makes roots of the paths that were asked for, also of those that
// were there already.
func (c *copyFlags) keepCopied(ctx context.Context, s *store.Store, paths []store.Path) error {
	if c.keep.name == "" {
		return nil
	}
	infos := make([]*store.Info, len(paths))
	for i, p := range paths {
		var err error
		if infos[i], err = s.Info(ctx, p); err != nil {
			return err
		}
	}
	return c.keep.keep(ctx, s, infos)
}

// openCache opens a cache that is believed keys, or else those of NixOS.
func (a *app) openCache(ctx context.Context, location string, keys []string, netrc string, o binarycache.Options) (*binarycache.Cache, error) {
	if len(keys) == 0 {
		keys = []string{binarycache.NixOS}
	}
	for _, text := range keys {
		key, err := binarycache.ParsePublicKey(text)
		if err != nil {
			return nil, fault.New(fault.Usage, err)
		}
		o.Keys = append(o.Keys, key)
	}
	var err error
	if o.Logins, err = a.logins(ctx, netrc); err != nil {
		return nil, err
	}
	return binarycache.Open(ctx, location, o)
}

// logins reads the netrc file that was given, or the one of the user if there
// is one.
func (a *app) logins(ctx context.Context, name string) ([]binarycache.Login, error) {
	given := name != ""
	if !given {
		name = a.Getenv("NETRC")
	}
	if home := a.homeDir(); name == "" && home != "" {
		name = filepath.Join(home, ".netrc")
	}
	if name == "" {
		return nil, nil
	}
	f, err := input.Open(ctx, name)
	if errors.Is(err, fs.ErrNotExist) && !given {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	logins, err := binarycache.ParseNetrc(f)
	if _, reading := errors.AsType[*fs.PathError](err); reading {
		return nil, err // says "read FILE"
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return logins, nil
}

func (a *app) copyTo(ctx context.Context, s *store.Store, c *copyFlags, p *progress, paths []store.Path) ([]*store.Info, error) {
	dir, err := binarycache.Directory(c.to)
	if err != nil {
		return nil, err
	}
	if err := a.checkOutput("--to", dir); err != nil {
		return nil, err
	}
	o := binarycache.WriteOptions{StoreDir: s.Dir(), Workers: c.jobs, Progress: p, Compression: compression.Format(c.compression)}
	switch o.Compression {
	case compression.Zstd, compression.XZ, compression.None:
	default:
		return nil, usagef("--compression %q: want zstd, xz or none", c.compression)
	}
	if c.signKey != "" {
		if o.Key, err = readSecretKey(ctx, c.signKey); err != nil {
			return nil, err
		}
	}
	w, err := binarycache.Create(ctx, dir, o)
	if err != nil {
		return nil, err
	}
	return w.Store(ctx, s, paths...)
}

func readSecretKey(ctx context.Context, name string) (*binarycache.SecretKey, error) {
	f, err := input.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSecretKey))
	if err != nil {
		return nil, err
	}
	key, err := binarycache.ParseSecretKey(text)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return key, nil
}
