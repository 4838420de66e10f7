package cli

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"terrine/tests/need"
)

// TestCompletionScripts has each shell read the script that is made for it.
func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		t.Run(shell, func(t *testing.T) {
			path := needShell(t, shell)
			script, stderr := new(bytes.Buffer), new(bytes.Buffer)
			env := &Env{
				Args: []string{"completion", shell}, Stdin: strings.NewReader(""), Stdout: script, Stderr: stderr,
				Getenv: func(string) string { return "" },
			}
			if code := Main(t.Context(), env); code != 0 || stderr.Len() > 0 {
				t.Fatalf("exit code %d: %s", code, stderr)
			}
			file := filepath.Join(t.TempDir(), "script")
			if err := os.WriteFile(file, script.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
			if said, err := exec.CommandContext(t.Context(), path, "-n", file).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", shell, err, said)
			}
		})
	}
}

// TestCompletionInBash completes words as bash does when tab is pressed.
func TestCompletionInBash(t *testing.T) {
	bash := needShell(t, "bash")
	const script = `source <(terrine completion bash)
complete_line() {
	COMP_LINE="$*" COMP_POINT=${#COMP_LINE} COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_TYPE=9
	COMPREPLY=()
	__start_terrine
	printf '%s\n' "${COMPREPLY[@]}"
}
# What bash-completion's function of that name does.
_get_comp_words_by_ref() { cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=("${COMP_WORDS[@]}") cword=$COMP_CWORD; }
complete_line terrine bu
complete_line terrine store ver
complete_line terrine plan --strategy siz
`
	// On stderr compopt says that nobody has pressed tab.
	said, err := exec.CommandContext(t.Context(), bash, "--norc", "-c", script).Output()
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for line := range strings.Lines(string(said)) {
		word, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		words = append(words, word)
	}
	if got, want := strings.Join(words, " "), "build verify size-first"; got != want {
		t.Errorf("completed to %q, want %q", got, want)
	}
}

func needShell(t *testing.T, shell string) string {
	t.Helper()
	return need.Program(t, shell)
}
