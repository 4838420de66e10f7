package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"terrine/builder"
	"terrine/builder/memo"
	"terrine/store/durable"
	"terrine/store/fault"
)

const cacheVar = "TERRINE_CACHE"

// cacheFlags say which cache a command works with.
type cacheFlags struct {
	dir   string
	off   bool
	quiet bool // show no progress
}

func (f *cacheFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.dir, "cache-dir", "", "`directory` of the cache (default: $"+cacheVar+", or else $XDG_CACHE_HOME/terrine)")
}

func (f *cacheFlags) addOff(flags *pflag.FlagSet) {
	f.add(flags)
	flags.BoolVar(&f.off, "no-cache", false, "use no cache and fill none; the bytes are the same")
}

// cacheDir returns the directory of the cache, or "" if none is named.
func (a *app) cacheDir(f *cacheFlags) string {
	if f.dir != "" {
		return f.dir
	}
	if dir := a.Getenv(cacheVar); dir != "" {
		return dir
	}
	if cache := a.Getenv("XDG_CACHE_HOME"); filepath.IsAbs(cache) {
		return filepath.Join(cache, "terrine")
	}
	if home := a.homeDir(); home != "" {
		return filepath.Join(home, ".cache", "terrine")
	}
	return ""
}

// openMemo opens the memo in dir. A damaged one is begun anew, or with strict an
// error.
func (a *app) openMemo(ctx context.Context, dir string, strict bool, p memo.Progress) (*memo.Memo, error) {
	return memo.Open(ctx, dir, memo.Options{
		Durable:  durable.Options{Timeout: lockTimeout, Waiting: a.waitingLine()},
		Now:      a.Now,
		Warn:     a.say,
		Progress: p,
		Strict:   strict,
	})
}

// buildMemo returns the memo for a build, nil for none: a build goes on without
// one.
func (a *app) buildMemo(ctx context.Context, f *cacheFlags) *builder.Memo {
	dir := a.cacheDir(f)
	if f.off || dir == "" {
		return nil
	}
	m, err := a.openMemo(ctx, dir, false, nil)
	if err != nil {
		a.say(fmt.Sprintf("building without a cache: %v", err))
		return nil
	}
	return builder.NewMemo(m, a.say)
}

// needCacheDir is cacheDir for a command that cannot do without.
func (a *app) needCacheDir(f *cacheFlags) (string, error) {
	if dir := a.cacheDir(f); dir != "" {
		return dir, nil
	}
	err := errors.New("find the cache: neither XDG_CACHE_HOME nor HOME names a directory")
	return "", fault.New(fault.Usage, fault.Hint(err, "say where it is with --cache-dir or "+cacheVar))
}

// withMemo runs do on the memo that the flags name. A directory that --cache-dir
// names and that is not there is a slip, and no cache to be made.
func (a *app) withMemo(cmd *cobra.Command, f *cacheFlags, do func(context.Context, *memo.Memo) error) error {
	dir, err := a.needCacheDir(f)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(dir); f.dir != "" && errors.Is(err, fs.ErrNotExist) {
		return fault.Hint(fmt.Errorf("open cache %s: there is none", dir), "check the name; a build makes a cache")
	}
	p := a.newTerse(f.quiet)
	defer p.Close()
	m, err := a.openMemo(cmd.Context(), dir, false, p)
	if err != nil {
		return err
	}
	return do(cmd.Context(), m)
}

const cacheLong = `Work with the cache of builds: digests of layers, the structure of store paths,
and what of them is compressed already. Nothing in it is needed: whatever is
removed costs time once.`

func (a *app) cacheCommand() *cobra.Command {
	return a.groupCommand(&cobra.Command{
		Use:   "cache COMMAND",
		Short: "Work with the cache of builds",
		Long:  cacheLong,
		Example: `  terrine cache stat
  terrine cache gc --max-size 10G --older-than 30d`,
	}, a.cacheListCommand(), a.cacheStatCommand(), a.cacheGCCommand(), a.cacheVerifyCommand(), a.cacheClearCommand())
}

// cacheLeaf makes a command that works on the cache and takes no arguments.
func (a *app) cacheLeaf(cmd *cobra.Command, do func(context.Context, *memo.Memo) error) *cobra.Command {
	return a.cacheLeafOf(&cacheFlags{}, cmd, do)
}

// longCacheLeaf is cacheLeaf for what may take long, and shows how it goes on.
func (a *app) longCacheLeaf(cmd *cobra.Command, do func(context.Context, *memo.Memo) error) *cobra.Command {
	f := &cacheFlags{}
	quietFlag(cmd.Flags(), &f.quiet)
	return a.cacheLeafOf(f, cmd, do)
}

func (a *app) cacheLeafOf(f *cacheFlags, cmd *cobra.Command, do func(context.Context, *memo.Memo) error) *cobra.Command {
	cmd.Args = arguments(0, 0)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.withMemo(cmd, f, do) }
	f.add(cmd.Flags())
	return cmd
}

type cachedJSON struct {
	Path    string       `json:"path"`
	Size    int64        `json:"size"` // bytes in a layer
	Entries int          `json:"entries"`
	Encoded memo.Lengths `json:"encoded"` // by codec
}

func (a *app) cacheListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "ls",
		Short:   "List the store paths of which something is cached",
		Example: "  terrine cache ls --json",
	}
	jsonFlag(cmd.Flags(), &asJSON)
	return a.cacheLeaf(cmd, func(ctx context.Context, m *memo.Memo) error {
		segments, err := m.Segments(ctx)
		if err != nil {
			return err
		}
		rows := cachedRows(segments)
		if asJSON {
			return writeJSON(a.Stdout, rows)
		}
		return a.writeCached(rows)
	})
}

// cachedRows returns what there is to tell of segments, by path, size and key: with
// another owner the same path may have segments of the same size.
func cachedRows[Key cmp.Ordered](segments map[Key]memo.Segment) []cachedJSON {
	rows := []cachedJSON{}
	for _, key := range slices.Sorted(maps.Keys(segments)) {
		s := segments[key]
		rows = append(rows, cachedJSON{s.Path, s.Size, s.Entries, s.Encoded})
	}
	slices.SortStableFunc(rows, func(a, b cachedJSON) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Size, b.Size))
	})
	return rows
}

func (a *app) writeCached(rows []cachedJSON) error {
	t := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "PATH\tSIZE\tENTRIES\tCOMPRESSED\n")
	for _, row := range rows {
		var forms []string
		for _, form := range row.Encoded {
			name, _, _ := strings.Cut(form.Name, " ")
			forms = append(forms, name+" "+size(form.Bytes))
		}
		slices.Sort(forms)
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\n", row.Path, size(row.Size), row.Entries, strings.Join(forms, ", "))
	}
	return t.Flush()
}

func (a *app) cacheStatCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "stat",
		Short:   "Show where the cache is and how large",
		Example: "  terrine cache stat",
	}
	jsonFlag(cmd.Flags(), &asJSON)
	return a.cacheLeaf(cmd, func(ctx context.Context, m *memo.Memo) error {
		s, err := m.Stat(ctx)
		if err != nil {
			return err
		}
		if asJSON {
			return writeJSON(a.Stdout, s)
		}
		_, err = fmt.Fprintf(a.Stdout, "directory  %s\nlayers     %d\npaths      %d\nfiles      %d, %s\n", s.Dir, s.Layers, s.Segments, s.Files, size(s.Bytes))
		return err
	})
}

const cacheGCLong = `Remove what was not used for longest, until no more is left than the flags say.
Without flags, what crashes have left behind is removed, and plans and answers of
the host's Nix that were not used for a day.`

func (a *app) cacheGCCommand() *cobra.Command {
	var maxSize, olderThan string
	var dry bool
	cmd := &cobra.Command{
		Use:     "gc",
		Short:   "Remove what was not used for longest",
		Long:    cacheGCLong,
		Example: "  terrine cache gc --max-size 10G\n  terrine cache gc --older-than 30d --dry-run",
	}
	cmd.Flags().StringVar(&maxSize, "max-size", "", "`bytes` of files to leave at most, with k, M, G or T or without")
	cmd.Flags().StringVar(&olderThan, "older-than", "", "remove what was not used for this `time`: 12h, 30d")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only say what would be removed")
	return a.longCacheLeaf(cmd, func(ctx context.Context, m *memo.Memo) error {
		limits, err := parseLimits(maxSize, olderThan)
		if err != nil {
			return err
		}
		r, err := m.GC(ctx, limits, dry)
		if err != nil {
			return err
		}
		verb := "removed"
		if dry {
			verb = "would remove"
		}
		return a.printRemoval(verb, r)
	})
}

func (a *app) printRemoval(verb string, r memo.Removal) error {
	_, err := fmt.Fprintf(a.Stdout, "%s %s, %s, and %s\n", verb, count(r.Files, "file"), size(r.Bytes), count(r.Layers, "layer row"))
	return err
}

func parseLimits(maxSize, olderThan string) (l memo.Limits, err error) {
	if maxSize != "" {
		if l.MaxSize, err = parseSize(maxSize); err != nil {
			return l, usagef("--max-size %q: %w", maxSize, err)
		}
	}
	if olderThan != "" {
		if l.OlderThan, err = parseAge(olderThan); err != nil {
			return l, usagef("--older-than %q: %w", olderThan, err)
		}
	}
	return l, nil
}

func (a *app) cacheVerifyCommand() *cobra.Command {
	return a.longCacheLeaf(&cobra.Command{
		Use:     "verify",
		Short:   "Check every file and remove the damaged ones",
		Example: "  terrine cache verify",
	}, func(ctx context.Context, m *memo.Memo) error {
		r, err := m.Verify(ctx)
		if err != nil {
			return err
		}
		return a.printRemoval("removed", r)
	})
}

func (a *app) cacheClearCommand() *cobra.Command {
	return a.longCacheLeaf(&cobra.Command{
		Use:     "clear",
		Short:   "Remove everything",
		Long:    "Remove everything, but for files that a build is just writing.",
		Example: "  terrine cache clear",
	}, func(ctx context.Context, m *memo.Memo) error {
		r, err := m.Clear(ctx)
		if err != nil {
			return err
		}
		return a.printRemoval("removed", r)
	})
}
