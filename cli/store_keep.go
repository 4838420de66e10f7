package cli

import (
	"context"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"terrine/store"
)

// keepFlag is --root: a root for what a command brings into the store, made
// before the command lets go of it, so that no collection can come between.
type keepFlag struct{ name string }

func (k *keepFlag) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&k.name, "root", "", "keep it by a root of that `NAME`, or with a / in it by a symlink; of several\npaths those that no other refers to, as NAME, NAME-2, NAME-3, …")
}

// check finds a name that no root can have, before there is anything to keep.
func (k *keepFlag) check(cmd *cobra.Command) error {
	if !cmd.Flags().Changed("root") || k.indirect() {
		return nil
	}
	if err := store.CheckName(k.name); err != nil {
		return usagef("--root %q: %w", k.name, err)
	}
	return nil
}

func (k *keepFlag) indirect() bool { return strings.ContainsRune(k.name, filepath.Separator) }

// keep makes the roots. The store must have all of paths in use, as by Hold or Add.
func (k *keepFlag) keep(ctx context.Context, s *store.Store, infos []*store.Info) error {
	if k.name == "" {
		return nil
	}
	for i, p := range store.Tops(infos) {
		name := k.name
		if i > 0 {
			name += "-" + strconv.Itoa(i+1)
		}
		add := s.AddRoot
		if k.indirect() {
			add = s.AddIndirectRoot
		}
		if err := add(ctx, name, p); err != nil {
			return err
		}
	}
	return nil
}
