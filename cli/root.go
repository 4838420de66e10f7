package cli

import (
	"errors"
	"fmt"
	"slices"
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
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return checkEmpty(cmd.Flags()) },
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
	err := fmt.Errorf("unknown command %q for %q", name, cmd.CommandPath())
	return fault.New(fault.Usage, fault.Hint(err, commandHint(cmd, name)))
}

// commandHint names the commands below cmd that begin like name, or else the one
// that is nearest to it.
func commandHint(cmd *cobra.Command, name string) string {
	var names, near []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
			if name != "" && strings.HasPrefix(sub.Name(), name) {
				near = append(near, sub.Name())
			}
		}
	}
	if one := fault.Nearest(name, names); len(near) == 0 && one != "" {
		near = append(near, one)
	}
	switch {
	case len(near) > 0:
		return "did you mean " + strings.Join(near, " or ") + "?"
	case len(names) == 0:
		return fmt.Sprintf("%s has no commands", cmd.CommandPath())
	}
	return fmt.Sprintf("see %s --help for the commands there are", cmd.CommandPath())
}

// flagError makes a usage error of what pflag says. In a group the first word
// is looked at first: in "terrine biuld --tag x" it is the command that is
// wrong, not the flag.
func flagError(cmd *cobra.Command, err error) error {
	if words := cmd.Flags().Args(); cmd.HasSubCommands() && len(words) > 0 {
		return unknownCommand(cmd, words[0])
	}
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok && unknown.GetSpecifiedShortnames() == "" {
		if near := nearestFlag(cmd, unknown.GetSpecifiedName()); near != "" {
			err = fault.Hint(err, "did you mean --"+near+"?")
		}
	}
	if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		// The cause is strconv's, or package time's, and names its functions.
		if want := wantedOf(invalid.GetFlag().Value.Type()); want != "" {
			err = fmt.Errorf("--%s %q: want %s", invalid.GetFlag().Name, invalid.GetValue(), want)
		}
	}
	return fault.New(fault.Usage, err)
}

// checkEmpty refuses flags that were given nothing, such as a variable that is not
// set: it would be as if they had not been given. Those of a spec's fields are left to
// the spec, where an owner may have no name.
func checkEmpty(flags *pflag.FlagSet) (err error) {
	flags.Visit(func(f *pflag.Flag) {
		ofSpec := slices.ContainsFunc(specFields(), func(row specField) bool { return row.flag == f.Name })
		if err == nil && f.Value.Type() == "string" && f.Value.String() == "" && !ofSpec {
			err = usagef("--%s is empty", f.Name)
		}
	})
	return err
}

// wantedOf says what a flag takes, by pflag's name for its type.
func wantedOf(kind string) string {
	switch kind {
	case "bool":
		return "true or false"
	case "int":
		return "a whole number"
	case "duration":
		return "a time such as 30s"
	}
	return ""
}

// nearestFlag returns the flag of cmd that name was likely meant to be, or "".
func nearestFlag(cmd *cobra.Command, name string) string {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	return fault.Nearest(name, names)
}

// jsonFlag adds --json.
func jsonFlag(flags *pflag.FlagSet, to *bool) {
	flags.BoolVar(to, "json", false, "print JSON")
}

// quietFlag adds --quiet, for newProgress.
func quietFlag(flags *pflag.FlagSet, to *bool) {
	flags.BoolVarP(to, "quiet", "q", false, "show no progress")
}

// usagef is an error in the way a command was called.
func usagef(format string, args ...any) error {
	return fault.New(fault.Usage, fmt.Errorf(format, args...))
}

// refuseTerminal is the error for binary output that would go to a terminal.
func refuseTerminal(what, hint string) error {
	return fault.New(fault.Usage, fault.Hint(fmt.Errorf("write %s: refusing to write it to a terminal", what), hint))
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
