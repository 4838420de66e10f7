package fault

import (
	"os/exec"
	"testing"
)

// TestWord has a shell read the words.
func TestWord(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"", "/a/b-1.2_3,x:y@z%+", "it's", `"a b"`, "~", "a\tb\nc", "$HOME `id` \\", "*?[a]", "#x", "a=b", "ä;", "{a,b}", "!1"} {
		out, err := exec.CommandContext(t.Context(), sh, "-c", `set -- `+Word(s)+`; printf '%s.%s' "$#" "$1"`).Output()
		if string(out) != "1."+s || err != nil {
			t.Errorf("Word(%q) = %s, which a shell reads as %q: %v", s, Word(s), out, err)
		}
	}
	if s := "/nix/store/x-layout.d"; Word(s) != s {
		t.Errorf("Word(%q) = %s", s, Word(s))
	}
}
