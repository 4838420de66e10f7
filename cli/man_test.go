package cli

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"terrine/tests/need"
)

var update = flag.Bool("update", false, "write docs/man anew (make man)")

// TestManPages holds docs/man to the commands as they are. With -update it
// writes the pages: they are made of the same text as --help.
func TestManPages(t *testing.T) {
	dir := filepath.Join("..", "docs", "man")
	want := manPages((&app{&Env{}}).command())
	if *update {
		writePages(t, dir, want)
	}
	have := map[string]string{}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		have[filepath.Base(name)] = string(text)
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("docs/man is not up to date: run make man (-want +have):\n%s", diff)
	}
}

func writePages(t *testing.T, dir string, pages map[string]string) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestManPagesAreWellFormed asks groff, with all its warnings.
func TestManPagesAreWellFormed(t *testing.T) {
	groff := need.Program(t, "groff")
	pages := manPages((&app{&Env{}}).command())
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		cmd := exec.CommandContext(t.Context(), groff, "-man", "-Tutf8", "-ww", "-z")
		cmd.Stdin = strings.NewReader(pages[name])
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: groff: %v\n%s", name, err, out)
		}
	}
}

// TestManPagesTellDefaults, as --help does.
func TestManPagesTellDefaults(t *testing.T) {
	root := (&app{&Env{}}).command()
	pages := manPages(root)
	told := 0
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if !hasDefault(f) {
				return
			}
			told++
			if page := pages[pageName(cmd)+".1"]; !strings.Contains(page, roff("(default: "+f.DefValue+").")) {
				t.Errorf("%s: the page has not the default of --%s, %q", cmd.CommandPath(), f.Name, f.DefValue)
			}
		})
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(root)
	if told == 0 {
		t.Error("no flag has a default")
	}
}

// hasDefault tells whether a flag that is not given stands for something, as pflag
// sees it.
func hasDefault(f *pflag.Flag) bool {
	return !slices.Contains([]string{"", "false", "0", "[]"}, f.DefValue)
}

// TestEveryCommandHasAnExample and a text that says more than its name.
func TestEveryCommandHasAnExample(t *testing.T) {
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		if !strings.Contains(cmd.Example, cmd.CommandPath()) {
			t.Errorf("%s: no example that calls it", cmd.CommandPath())
		}
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: short text %q", cmd.CommandPath(), cmd.Short)
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit((&app{&Env{}}).command())
}

// manPages returns a page of section 1 for each command, by file name.
func manPages(root *cobra.Command) map[string]string {
	pages := map[string]string{}
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		cmd.InitDefaultHelpFlag()
		pages[pageName(cmd)+".1"] = manPage(cmd)
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() {
				visit(sub)
			}
		}
	}
	root.InitDefaultHelpCmd()
	visit(root)
	return pages
}

func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// manPage writes the page of a command with the macros of man(7). It names no
// date and no version, so that it changes only with what it says.
func manPage(cmd *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s 1 \"\" \"terrine\" \"terrine manual\"\n", strings.ToUpper(pageName(cmd)))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(pageName(cmd)), roff(cmd.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", roff(cmd.UseLine()))
	if cmd.Long != "" {
		b.WriteString(".SH DESCRIPTION\n")
		manText(&b, cmd.Long)
	}
	if cmd.HasAvailableSubCommands() {
		b.WriteString(".SH COMMANDS\n")
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() {
				fmt.Fprintf(&b, ".TP\n.BR %s (1)\n%s.\n", roff(pageName(sub)), roff(sub.Short))
			}
		}
	}
	manFlags(&b, "OPTIONS", cmd.NonInheritedFlags())
	manFlags(&b, "COMMON OPTIONS", cmd.InheritedFlags())
	if cmd.Example != "" {
		fmt.Fprintf(&b, ".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(strings.ReplaceAll(cmd.Example, "\n  ", "\n")[2:]))
	}
	if !cmd.HasParent() {
		b.WriteString(".SH ENVIRONMENT\n")
		for _, row := range environment() {
			fmt.Fprintf(&b, ".TP\n%s\n%s.\n", roff(row.name), roff(row.text))
		}
		b.WriteString(".SH EXIT STATUS\n")
		for _, row := range exitCodes {
			fmt.Fprintf(&b, ".TP 6\n%d\n%s.\n", row.code, roff(row.text))
		}
	} else {
		fmt.Fprintf(&b, ".SH SEE ALSO\n.BR %s (1)\n", roff(pageName(cmd.Parent())))
	}
	return b.String()
}

// manText writes paragraphs; indented ones keep their lines.
func manText(b *strings.Builder, text string) {
	for i, paragraph := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if i > 0 {
			b.WriteString(".PP\n")
		}
		if strings.HasPrefix(paragraph, "  ") {
			fmt.Fprintf(b, ".nf\n%s\n.fi\n", roff(paragraph))
			continue
		}
		b.WriteString(roff(paragraph) + "\n")
	}
}

func manFlags(b *strings.Builder, title string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	fmt.Fprintf(b, ".SH %s\n", title)
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		names := `\fB` + roff("--"+f.Name) + `\fR`
		if f.Shorthand != "" {
			names = `\fB` + roff("-"+f.Shorthand) + `\fR, ` + names
		}
		if value != "" {
			names += ` \fI` + roff(value) + `\fR`
		}
		if hasDefault(f) {
			usage += " (default: " + f.DefValue + ")"
		}
		fmt.Fprintf(b, ".TP\n%s\n%s.\n", names, roff(usage))
	})
}

// roff escapes what troff would take for its own.
func roff(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			b.WriteString(`\&`)
		}
		for _, r := range line {
			switch {
			case r == '\\':
				b.WriteString(`\e`)
			case r == '-':
				b.WriteString(`\-`)
			case r == '\'':
				b.WriteString(`\(aq`)
			case r == '`':
				b.WriteString("\\(ga")
			case r == '^':
				b.WriteString(`\(ha`)
			case r == '~':
				b.WriteString(`\(ti`)
			case r > 0x7e:
				fmt.Fprintf(&b, `\[u%04X]`, r)
			default:
				b.WriteRune(r)
			}
		}
	}
	return b.String()
}

// TestReadmeNamesEveryCommand that does something.
func TestReadmeNamesEveryCommand(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		// "`terrine store ls`, `info`, `closure`" names three.
		full, last := strings.Contains(string(text), "`"+cmd.CommandPath()), strings.Contains(string(text), "`"+cmd.Name())
		nested := cmd.HasParent() && cmd.Parent().HasParent()
		if !cmd.HasSubCommands() && !full && !(nested && last) {
			t.Errorf("README.md does not name %s", cmd.CommandPath())
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit((&app{&Env{}}).command())
}
