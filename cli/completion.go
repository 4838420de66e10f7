package cli

import (
	"github.com/spf13/cobra"
)

func (a *app) completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "Print a completion script for a shell",
		Long: `Print a script that teaches a shell to complete terrine's commands and flags.
For bash, the package bash-completion has to be installed and loaded.`,
		Example: `  source <(terrine completion bash)
  terrine completion zsh > "${fpath[1]}/_terrine"
  terrine completion fish > ~/.config/fish/completions/terrine.fish`,
		DisableFlagsInUseLine: true,
		Args:                  arguments(1, 1),
		ValidArgs:             []string{"bash", "zsh", "fish"},
		RunE: func(cmd *cobra.Command, args []string) error {
			switch root := cmd.Root(); args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.Stdout, true)
			case "zsh":
				return root.GenZshCompletion(a.Stdout)
			case "fish":
				return root.GenFishCompletion(a.Stdout, true)
			}
			return usagef("no completion for shell %q: want bash, zsh or fish", args[0])
		},
	}
}

// completeExtension completes names of files with that extension.
func completeExtension(extension string) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{extension}, cobra.ShellCompDirectiveFilterFileExt
	}
}
