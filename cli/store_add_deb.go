package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"terrine/store"
	"terrine/store/deb"
	"terrine/store/fault"
)

const storeAddDebLong = `Make store paths of Debian packages, as they are, and print them, those that
others refer to first. Each package becomes a path with the files that are in it;
the packages that it depends on are its references, as far as they are among the
files. Packages that depend on one another in a circle become one path. Nothing of a
package is run, so what its scripts would do on a machine is not done.

Alternatives and Provides are looked at as apt does; versions must fit. If
something that a package needs is not among the files, all of that is listed and
nothing is added, unless --allow-missing is given.

With "join": "closure" in a spec, an image gets all files of such a path and of
what it refers to at the places where Debian has them: see docs/without-nix.md.`

type addDebFlags struct {
	allowMissing bool
	only         []string
	temp         string
	keep         keepFlag
	asJSON       bool
	quiet        bool
}

func (a *app) storeAddDebCommand(f *storeFlags) *cobra.Command {
	d := &addDebFlags{}
	cmd := &cobra.Command{
		Use:   "add-deb FILE…",
		Short: "Add Debian packages to the store",
		Long:  storeAddDebLong,
		Example: `  apt-get download hello libc6 libgcc-s1 gcc-12-base
  terrine store add-deb *.deb
  terrine store add-deb --print hello --root hello *.deb`,
		Args:              arguments(1, -1),
		ValidArgsFunction: completeExtension("deb"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := d.keep.check(cmd); err != nil {
				return err
			}
			return a.withStore(cmd, f, func(ctx context.Context, s *store.Store) error {
				return a.addDebs(ctx, s, d, args)
			})
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringArrayVar(&d.only, "print", nil, "print the path of the package `NAME` only (repeatable)")
	flags.BoolVar(&d.allowMissing, "allow-missing", false, "leave out what is not among the files")
	d.keep.add(cmd)
	flags.StringVar(&d.temp, "temp", "", "unpack in `directory` (default: $TMPDIR or /tmp)")
	jsonFlag(flags, &d.asJSON)
	quietFlag(flags, &d.quiet)
	return cmd
}

// debJSON is a path and the packages in it.
type debJSON struct {
	infoJSON
	Packages []packageJSON `json:"packages"`
}

type packageJSON struct {
	Name         string `json:"name"`
	Version      string `json:"version"`
	Architecture string `json:"architecture"`
}

func (a *app) addDebs(ctx context.Context, s *store.Store, d *addDebFlags, files []string) error {
	set, err := deb.Open(ctx, files)
	if err != nil {
		return err
	}
	if err := checkPrinted(set, d.only); err != nil {
		return err
	}
	if len(set.Missing) > 0 {
		if !d.allowMissing {
			return fault.Hint(deb.MissingError(set.Missing), "apt-get download them, or leave them out with --allow-missing")
		}
		for _, m := range set.Missing {
			a.warn(m.String() + ", which is left out")
		}
	}
	p := a.newProgress(d.quiet)
	defer p.Close()
	p.Stage(fmt.Sprintf("add %s", count(len(files), "package")), 0)
	var added []deb.Added
	err = s.Together(ctx, func(to *store.Adder) (err error) {
		added, err = set.Add(ctx, to, d.temp, func(added deb.Added) { p.Add(added.NARSize) })
		return err
	})
	p.Close()
	if err != nil {
		return err
	}
	added = chosen(added, d.only)
	if err := d.keep.keep(ctx, s, infosOf(added)); err != nil {
		return err
	}
	return a.printAdded(added, d.asJSON)
}

// chosen returns the paths with packages of those names, or all for no names.
func chosen(added []deb.Added, names []string) []deb.Added {
	if len(names) == 0 {
		return added
	}
	return slices.DeleteFunc(added, func(one deb.Added) bool { return !holds(one.Packages, names) })
}

func infosOf(added []deb.Added) []*store.Info {
	infos := make([]*store.Info, len(added))
	for i, one := range added {
		infos[i] = one.Info
	}
	return infos
}

// checkPrinted reports a package that is to be printed and is not there, before
// there is anything to print.
func checkPrinted(set *deb.Set, names []string) error {
	for _, name := range names {
		if !slices.ContainsFunc(set.Groups, func(g *deb.Group) bool { return holds(g.Packages, []string{name}) }) {
			return usagef("--print %s: no such package among the files", name)
		}
	}
	return nil
}

// holds reports whether one of packages has one of names.
func holds(packages []*deb.Package, names []string) bool {
	return slices.ContainsFunc(packages, func(p *deb.Package) bool { return slices.Contains(names, p.Name) })
}

func (a *app) printAdded(added []deb.Added, asJSON bool) error {
	if !asJSON {
		return a.printPaths(infosOf(added), false)
	}
	list := []debJSON{}
	for _, one := range added {
		j := debJSON{infoJSON: infoForJSON(one.Info)}
		for _, p := range one.Packages {
			j.Packages = append(j.Packages, packageJSON{p.Name, p.Version, p.Architecture})
		}
		list = append(list, j)
	}
	return writeJSON(a.Stdout, list)
}
