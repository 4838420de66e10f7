package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"terrine/store"
	"terrine/store/fault"
)

type damageJSON struct {
	Path  store.Path `json:"path"`
	Error string     `json:"error"`
}

func (a *app) storeVerifyCommand(f *storeFlags) *cobra.Command {
	var asJSON, quiet bool
	r := &repairFlags{}
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Hash the whole store and name what is damaged",
		Long: `Read every path in the store, compare it with the hash that it had when it was
added, and list those that are damaged. If there are any the exit code is 10.

With --repair they are replaced by what another place has under the same path, if
it has the same hash; listed are then those that are still damaged.`,
		Example: `  terrine store verify && echo sound
  terrine store verify --repair --from https://cache.nixos.org`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := r.check(); err != nil {
				return err
			}
			return a.withShownStore(cmd, f, quiet, func(ctx context.Context, s *store.Store, p *progress) error {
				asFound := !asJSON && !r.repair
				damaged, err := a.verify(ctx, s, asFound)
				p.Done()
				if err == nil && r.repair && len(damaged) > 0 {
					damaged, err = a.repair(ctx, s, f, r, damaged, p)
					p.Done()
				}
				switch {
				case err != nil:
					return err
				case asJSON:
					err = writeJSON(a.Stdout, damaged)
				case !asFound:
					err = a.printDamaged(damaged)
				}
				if err != nil || len(damaged) == 0 {
					return err
				}
				err = fmt.Errorf("verify store: %s damaged", count(len(damaged), "path"))
				return fault.New(fault.StoreDamaged, fault.Hint(err, "terrine store verify --repair mends them; or terrine store rebuild forgets those whose files are damaged, to be added again"))
			})
		},
	}
	r.add(cmd)
	jsonFlag(cmd.Flags(), &asJSON)
	quietFlag(cmd.Flags(), &quiet)
	return cmd
}

func (a *app) printDamaged(damaged []damageJSON) error {
	for _, d := range damaged {
		if _, err := fmt.Fprintf(a.Stdout, "%s: %s\n", d.Path, oneLine(d.Error)); err != nil {
			return err
		}
	}
	return nil
}

// verify returns the damaged paths, and with asFound prints each when it is found.
// What keeps it from looking is an error.
func (a *app) verify(ctx context.Context, s *store.Store, asFound bool) ([]damageJSON, error) {
	damaged := []damageJSON{}
	for p, err := range s.Verify(ctx) {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if p == "" {
			return nil, err
		}
		damaged = append(damaged, damageJSON{p, err.Error()})
		if asFound {
			if err := a.printDamaged(damaged[len(damaged)-1:]); err != nil {
				return nil, err
			}
		}
	}
	return damaged, ctx.Err()
}

type rebuiltJSON struct {
	Paths int          `json:"paths"` // in the new index
	Lost  []damageJSON `json:"lost"`
}

func (a *app) storeRebuildCommand(f *storeFlags) *cobra.Command {
	var asJSON, quiet bool
	cmd := &cobra.Command{
		Use:   "rebuild",
		Short: "Make the index of the store anew",
		Long: `Make the index anew from the objects and the notes that lie beside them: for a
store whose index is lost or damaged. Every object is read and must have its
hash. Paths that are lost are listed; if there are any the exit code is 10.`,
		Example: "  terrine store rebuild",
		Args:    arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withShownStore(cmd, f, quiet, func(ctx context.Context, s *store.Store, p *progress) error {
				result, err := s.Rebuild(ctx)
				p.Done()
				if err != nil {
					return err
				}
				return a.printRebuilt(result, asJSON)
			})
		},
	}
	jsonFlag(cmd.Flags(), &asJSON)
	quietFlag(cmd.Flags(), &quiet)
	return cmd
}

func (a *app) printRebuilt(result *store.Rebuilt, asJSON bool) error {
	j := rebuiltJSON{Paths: len(result.Valid), Lost: []damageJSON{}}
	for _, lost := range result.Lost {
		j.Lost = append(j.Lost, damageJSON{lost.Path, lost.Reason.Error()})
	}
	if asJSON {
		if err := writeJSON(a.Stdout, j); err != nil {
			return err
		}
	} else {
		if err := a.printDamaged(j.Lost); err != nil {
			return err
		}
		a.say(count(j.Paths, "path") + " in the new index")
	}
	if len(j.Lost) == 0 {
		return nil
	}
	err := fmt.Errorf("rebuild store: %s lost", count(len(j.Lost), "path"))
	return fault.New(fault.StoreDamaged, fault.Hint(err, "add or import them again from where they came"))
}
