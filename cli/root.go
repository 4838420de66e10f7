package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"terrine/store/fault"
)

// app is what the commands share: the process they run in. Flags belong to
// the command that has them.
type app struct{ *Env }

// errHelpShown ends a command that was called without the subcommand it
// needs and has shown its help on stderr instead.
var errHelpShown = errors.New("a command is missing")

const rootLong = `terrine builds layered container images from Nix closures, with or without Nix
on the machine. The bytes of an image depend on its inputs alone.`

const rootExample = `  terrine build image.json -o image.tar.gz   # build an image
  terrine plan image.json                    # what would be in which layer?
  terrine probe image.json                   # what will its digest be?
  terrine inspect image.tar.gz               # what is in which layer?
  terrine store add ./site --name site       # make a store path of a directory`

// command returns the tree of all commands.
func (a *app) command() *cobra.Command {
	root := a.groupCommand(&cobra.Command{
		Use:               "terrine COMMAND",
		Short:             "Build layered container images from Nix closures",
		Long:              rootLong,
		Example:           rootExample,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	},
		a.buildCommand(),
		a.planCommand(),
		a.probeCommand(),
		a.learnCommand(),
		a.inspectCommand(),
		a.storeCommand(),
		a.cacheCommand(),
		a.versionCommand(),
		a.completionCommand(),
	)
	if len(a.Args) > 0 && a.Args[0] == nixBuilder {
		root.AddCommand(a.nixBuilderCommand()) // for Nix, and nothing to tell a user of
	}
	root.Flags().Bool("version", false, "print the version and exit")
	root.SetHelpFunc(a.help)
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(a.helpCommand())
	return root
}

// groupCommand makes cmd a command that only holds others.
func (a *app) groupCommand(cmd *cobra.Command, sub ...*cobra.Command) *cobra.Command {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = a.group
	cmd.DisableFlagsInUseLine = true
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(sub...)
	return cmd
}

// group runs a command that only holds others: it is called when no
// subcommand was recognised.
func (a *app) group(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return unknownCommand(cmd, args[0])
	}
	if f := cmd.Flags().Lookup("version"); f != nil && f.Changed {
		return a.printVersion(false)
	}
	a.writeHelp(a.Stderr, cmd)
	return fault.New(fault.Usage, errHelpShown)
}

func unknownCommand(cmd *cobra.Command, name string) error {
	hint := fmt.Sprintf("see %s --help for the commands there are", cmd.CommandPath())
	if near := cmd.SuggestionsFor(name); name != "" && len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	err := fmt.Errorf("unknown command %q for %q", name, cmd.CommandPath())
	return fault.New(fault.Usage, fault.Hint(err, hint))
}

// flagError makes a usage error of what pflag says. In a group the first word
// is looked at first: in "terrine biuld --tag x" it is the command that is
// wrong, not the flag.
func flagError(cmd *cobra.Command, err error) error {
	if words := cmd.Flags().Args(); cmd.HasSubCommands() && len(words) > 0 {
		return unknownCommand(cmd, words[0])
	}
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		if near := nearestFlag(cmd, unknown.GetSpecifiedName()); near != "" {
			err = fault.Hint(err, "did you mean --"+near+"?")
		}
	}
	return fault.New(fault.Usage, err)
}

// nearestFlag returns the flag of cmd whose name is name but for a slip or
// two of the finger, or "".
func nearestFlag(cmd *cobra.Command, name string) string {
	best, least := "", 3
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if d := editDistance(name, f.Name); !f.Hidden && d < least && d < len(f.Name) {
			best, least = f.Name, d
		}
	})
	return best
}

// editDistance is the Levenshtein distance, in bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitute := diagonal
			if a[i] != b[j] {
				substitute++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitute, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// usagef is an error in the way a command was called.
func usagef(format string, args ...any) error {
	return fault.New(fault.Usage, fmt.Errorf(format, args...))
}

// arguments checks the number of arguments; most is -1 for any number. The
// message shows the names that the usage line gives them.
func arguments(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		_, names, _ := strings.Cut(cmd.Use, " ")
		switch {
		case len(args) < least:
			return usagef("%s: too few arguments: want %s", cmd.CommandPath(), names)
		case most == 0 && len(args) > 0:
			return usagef("%s: unexpected argument %q", cmd.CommandPath(), args[0])
		case most > 0 && len(args) > most:
			return usagef("%s: unexpected argument %q: want %s", cmd.CommandPath(), args[most], names)
		}
		return nil
	}
}
