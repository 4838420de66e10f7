package memo

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"terrine/tests/engines"
	"terrine/tests/fixtures"
	"terrine/tests/need"
)

// TestOutputsAreOnDisk looks at what a build asks the disk for: the file before
// it has its name, and the directory after; with --no-sync nothing of both.
func TestOutputsAreOnDisk(t *testing.T) {
	need.Programs(t, "strace")
	d := newDesk(t)
	s := d.WriteSpec(spec{"name": "synced", "contents": fixtures.Build(t, "hello")})
	calls := func(output string, flags ...string) (order []string) {
		t.Helper()
		log, out := d.Path("trace"), d.Path("out")
		cmd := d.Command(append([]string{"build", s, "-o", d.Path("out", output), "--quiet"}, flags...)...)
		outer := exec.CommandContext(t.Context(), "strace", append([]string{
			"-f", "-y", "-e", "trace=fsync,fdatasync,sync_file_range,syncfs,sync,rename,renameat,renameat2", "-o", log}, cmd.Args...)...)
		outer.Env, outer.Dir = cmd.Env, cmd.Dir
		engines.Run(t, outer)
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			_, call, _ := strings.Cut(line, " ")
			name, args, _ := strings.Cut(strings.TrimSpace(call), "(")
			switch {
			case strings.HasPrefix(name, "rename") && strings.Contains(args, output):
				order = append(order, "rename")
			case strings.Contains(args, "<"+out+">"):
				order = append(order, name+" directory")
			case strings.Contains(args, output):
				order = append(order, name+" file")
			}
		}
		return order
	}
	for _, output := range []string{"image.tar", "image.tar.gz"} {
		if got := strings.Join(calls(output), ", "); !strings.HasSuffix(got, "fsync file, rename, fsync directory") {
			t.Errorf("%s: %q", output, got)
		}
		if got := strings.Join(calls(output, "--force", "--no-sync"), ", "); got != "rename" {
			t.Errorf("%s --no-sync: %q", output, got)
		}
	}
}
