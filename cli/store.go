package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"terrine/store"
	"terrine/store/fault"
	"terrine/store/host"
)

// lockTimeout is how long a command waits for another that holds what it
// needs, unless it is told otherwise. The longest that a lock is held is for
// the copy of one object, and for a rebuild.
const lockTimeout = 10 * time.Minute

const storeVar = "TERRINE_STORE"

// storeFlags say which store a command works on.
type storeFlags struct {
	root     string
	timeout  time.Duration
	progress store.Progress // nil for nobody
}

func (f *storeFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.root, "store", "", "`directory` of the store (default: $"+storeVar+", or else $XDG_DATA_HOME/terrine)")
	flags.DurationVar(&f.timeout, "lock-timeout", lockTimeout, "`time` to wait for another command before exit code 12")
}

// homelessShelter is the HOME of Nix's builders. It must never be: a Nix without
// a sandbox builds nothing anymore where it is.
const homelessShelter = "/homeless-shelter"

// homeDir returns the home directory of the user, "" for none.
func (a *app) homeDir() string {
	if home := a.Getenv("HOME"); filepath.IsAbs(home) && filepath.Clean(home) != homelessShelter {
		return home
	}
	return ""
}

// storeRoot returns the directory of the store.
func (a *app) storeRoot(f *storeFlags) (string, error) {
	if f.root != "" {
		return f.root, nil
	}
	if root := a.Getenv(storeVar); root != "" {
		return root, nil
	}
	// A relative XDG directory is to be ignored, says its specification.
	if data := a.Getenv("XDG_DATA_HOME"); filepath.IsAbs(data) {
		return filepath.Join(data, "terrine"), nil
	}
	if home := a.homeDir(); home != "" {
		return filepath.Join(home, ".local", "share", "terrine"), nil
	}
	err := errors.New("find the store: neither XDG_DATA_HOME nor HOME names a directory")
	return "", fault.New(fault.Usage, fault.Hint(err, "say where it is with --store or "+storeVar))
}

// openStore opens the store that the flags name. The caller closes it.
func (a *app) openStore(ctx context.Context, f *storeFlags) (*store.Store, error) {
	if f.timeout < 0 {
		return nil, usagef("--lock-timeout %s: want 0 or more", f.timeout)
	}
	root, err := a.storeRoot(f)
	if err != nil {
		return nil, err
	}
	return store.Open(ctx, root, store.Options{
		LockTimeout: max(f.timeout, time.Millisecond),
		Waiting:     a.waitingLine(),
		Progress:    f.progress,
		Now:         a.Now,
	})
}

// waitingLine returns a function that says what is waited for, each thing once.
func (a *app) waitingLine() func(what string, pid int) {
	var mu sync.Mutex
	said := map[string]bool{}
	return func(what string, pid int) {
		mu.Lock()
		defer mu.Unlock()
		line := "waiting for " + what
		if pid != 0 {
			line += fmt.Sprintf(", held by process %d", pid)
		}
		if !said[line] {
			said[line] = true
			a.say(line)
		}
	}
}

// withStore runs do on the store that the flags name.
func (a *app) withStore(cmd *cobra.Command, f *storeFlags, do func(context.Context, *store.Store) error) error {
	ctx := cmd.Context()
	s, err := a.openStore(ctx, f)
	if err != nil {
		return err
	}
	return errors.Join(do(ctx, s), s.Close())
}

// withPresentStore is withStore for what makes no store path: a directory that
// --store names and that is not there is a slip, and no store to be made.
func (a *app) withPresentStore(cmd *cobra.Command, f *storeFlags, do func(context.Context, *store.Store) error) error {
	if _, err := os.Lstat(f.root); f.root != "" && errors.Is(err, fs.ErrNotExist) {
		err := fmt.Errorf("open store %s: there is none", f.root)
		return fault.Hint(err, "check the name; terrine store add and terrine store import make a store")
	}
	return a.withStore(cmd, f, do)
}

// withShownStore is withPresentStore for what may go through the whole store, and
// shows how it goes on. do ends the last stage before it prints what came of it.
func (a *app) withShownStore(cmd *cobra.Command, f *storeFlags, quiet bool, do func(context.Context, *store.Store, *progress) error) error {
	p := a.newTerse(quiet)
	defer p.Close()
	shown := *f
	shown.progress = p
	return a.withPresentStore(cmd, &shown, func(ctx context.Context, s *store.Store) error { return do(ctx, s, p) })
}

// hostScope names the store that hostClosure asks, as far as nix-store looks at
// the environment to find it.
func hostScope(getenv func(string) string) string {
	var scope strings.Builder
	for _, name := range [...]string{"NIX_REMOTE", "NIX_STORE_DIR", "NIX_STATE_DIR", "NIX_DB_DIR", "NIX_CONF_DIR", "NIX_CONFIG"} {
		fmt.Fprintf(&scope, "%s=%s\n", name, getenv(name))
	}
	return scope.String()
}

// hostClosure asks the host's Nix for a closure. Where there is no Nix, it has
// no path.
func hostClosure(ctx context.Context, roots []store.Path) ([]*store.Info, error) {
	infos, err := host.Query(ctx, roots)
	switch {
	case errors.Is(err, exec.ErrNotFound):
		err = store.ErrNotFound
	case err == nil, errors.Is(err, store.ErrNotFound), ctx.Err() != nil:
		return infos, err
	}
	return nil, fmt.Errorf("find %s: %w", roots[0], err)
}

const storeLong = `Work with terrine's own store: a directory that holds store objects as Nix has
them, and an index that knows their hashes and references. Their paths are below
/nix/store wherever the store lies.

Closures are read from there by "terrine build" and "terrine plan".`

func (a *app) storeCommand() *cobra.Command {
	f := &storeFlags{}
	cmd := a.groupCommand(&cobra.Command{
		Use:   "store COMMAND",
		Short: "Work with terrine's own store",
		Long:  storeLong,
		Example: `  terrine store add ./site
  nix-store --export $(nix-store -qR ./result) | terrine store import -
  terrine store ls --json`,
	},
		a.storeAddCommand(f),
		a.storeAddDebCommand(f),
		a.storeImportCommand(f),
		a.storeExportCommand(f),
		a.storeCopyCommand(f),
		a.storeLsCommand(f),
		a.storeInfoCommand(f),
		a.storeClosureCommand(f),
		a.storeDeleteCommand(f),
		a.storeRootsCommand(f),
		a.storeGCCommand(f),
		a.storeOptimiseCommand(f),
		a.storeVerifyCommand(f),
		a.storeRebuildCommand(f),
	)
	f.add(cmd.PersistentFlags())
	return cmd
}

// mostPatience is how long a shell that completes a word may stand still.
const mostPatience = time.Second

// completePaths completes store paths with those that the store has, if there is one.
func (a *app) completePaths(f *storeFlags) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		var paths []string
		root, err := a.storeRoot(f)
		if err != nil {
			return nil, cobra.ShellCompDirectiveDefault
		}
		hasty := storeFlags{root: root, timeout: min(f.timeout, mostPatience)}
		err = a.withPresentStore(cmd, &hasty, func(ctx context.Context, s *store.Store) error {
			infos, err := s.List(ctx)
			for _, info := range infos {
				paths = append(paths, string(info.Path))
			}
			return err
		})
		if err != nil {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return paths, cobra.ShellCompDirectiveDefault
	}
}
