package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// help is what --help shows. Examples stand before the flags: most readers
// have found what they came for by then.
func (a *app) help(cmd *cobra.Command, _ []string) {
	a.writeHelp(cmd.OutOrStdout(), cmd)
}

func (a *app) writeHelp(w io.Writer, cmd *cobra.Command) {
	text := cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	fmt.Fprintf(w, "%s\n\nUsage:\n  %s\n", strings.TrimSpace(text), cmd.UseLine())
	if cmd.Example != "" {
		fmt.Fprintf(w, "\nExamples:\n%s\n", cmd.Example)
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprint(w, "\nCommands:\n")
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() {
				fmt.Fprintf(w, "  %-11s %s\n", sub.Name(), sub.Short)
			}
		}
	}
	if flags := cmd.NonInheritedFlags(); flags.HasAvailableFlags() {
		fmt.Fprintf(w, "\nFlags:\n%s", flags.FlagUsages())
	}
	if flags := cmd.InheritedFlags(); flags.HasAvailableFlags() {
		fmt.Fprintf(w, "\nFlags of every %q command:\n%s", cmd.Parent().Name(), flags.FlagUsages())
	}
	if !cmd.HasParent() {
		fmt.Fprint(w, "\nHelp:\n  terrine help COMMAND\n")
		for _, t := range topics() {
			fmt.Fprintf(w, "  terrine help %s\n", t.name)
		}
	}
}

// topic is something to know that belongs to no command.
type topic struct {
	name string
	text func() string
}

func topics() []topic {
	return []topic{{"environment", environmentTable}, {"exit-codes", exitCodeTable}}
}

// exitCodeTable lists the exit codes, one a line.
func exitCodeTable() string {
	var b strings.Builder
	for _, row := range exitCodes {
		fmt.Fprintf(&b, "%3d  %s\n", row.code, row.text)
	}
	return b.String()
}

// environment are the variables that the program looks at.
func environment() []struct{ name, text string } {
	return []struct{ name, text string }{
		{storeVar, "directory of the store (--store)"},
		{cacheVar, "directory of the cache (--cache-dir)"},
		{"XDG_DATA_HOME, XDG_CACHE_HOME, HOME", "where these are by default"},
		{"SOURCE_DATE_EPOCH", "date of images whose spec has none, in seconds since 1970"},
		{"NIX_REMOTE and others of Nix", "are for Nix, when the host's Nix is asked for a closure"},
		{"NO_COLOR, TERM=dumb", "no colours; the latter also no progress bar"},
		{"CI", "lines of progress now and then, and no bar"},
	}
}

func environmentTable() string {
	var b strings.Builder
	for _, row := range environment() {
		fmt.Fprintf(&b, "%s\n    %s\n", row.name, row.text)
	}
	return b.String()
}

// helpCommand is `terrine help COMMAND`. cobra's own does not fail on a
// command that does not exist.
func (a *app) helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:                   "help [COMMAND…|TOPIC]",
		Short:                 "Show the help of a command or on a topic",
		Example:               "  terrine help completion",
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, t := range topics() {
				if len(args) == 1 && args[0] == t.name {
					_, err := io.WriteString(a.Stdout, t.text())
					return err
				}
			}
			target := cmd.Root()
			for _, name := range args {
				next, rest, err := target.Find([]string{name})
				if err != nil || len(rest) > 0 {
					return unknownCommand(target, name)
				}
				target = next
			}
			target.InitDefaultHelpFlag()
			return target.Help()
		},
		ValidArgsFunction: completeCommands,
	}
}

// completeCommands completes the words of a command's path.
func completeCommands(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	target, rest, err := cmd.Root().Find(args)
	if err != nil || len(rest) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, c := range target.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, cobra.CompletionWithDesc(c.Name(), c.Short))
		}
	}
	if !target.HasParent() {
		for _, t := range topics() {
			names = append(names, t.name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
