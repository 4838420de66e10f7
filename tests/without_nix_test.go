package tests

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"terrine/tests/engines"
	"terrine/tests/need"
)

var shellBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// commandsOf returns the shell commands that a page of the documentation has.
func commandsOf(t *testing.T, page string) string {
	t.Helper()
	text := readFile(t, moduleRoot(t), "docs", page)
	var script strings.Builder
	for _, block := range shellBlock.FindAllStringSubmatch(string(text), -1) {
		script.WriteString(block[1])
	}
	if script.Len() == 0 {
		t.Fatalf("docs/%s has no commands", page)
	}
	return script.String()
}

// TestWithoutNix does what docs/without-nix.md says, to the letter, where no Nix is
// to be found: nginx of Debian, in a container.
func TestWithoutNix(t *testing.T) {
	docker := shared.Docker(t)
	need.Programs(t, "apt-get")
	d := newDesk(t)
	script := commandsOf(t, "without-nix.md")
	if !strings.HasSuffix(script, "nginx -t\n") {
		t.Fatalf("the last command is not the one that this test knows:\n%s", script)
	}
	run := func() engines.Result {
		cmd := exec.CommandContext(t.Context(), "/bin/sh", "-euc", script)
		cmd.Dir = d.Dir
		cmd.Env = append(docker.Command(t.Context()).Env, "HOME="+d.Path("home"), "NETRC=", "TERRINE_STORE="+d.Path("store"),
			"XDG_CACHE_HOME="+d.Path("cache"), "PATH="+toolsWithoutNix(t, shared.Terrine(t)))
		return engines.Try(t, cmd)
	}
	r := run()
	if r.Code != 0 && strings.Contains(r.Stderr, "E: ") {
		// A machine may have no lists of packages yet, or lists that are too old.
		engines.Run(t, exec.CommandContext(t.Context(), "apt-get", "-qq", "update"))
		r = run()
	}
	if r.Code != 0 || !strings.Contains(r.Stderr, "nginx.conf test is successful") {
		t.Fatalf("exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	layout := d.Path("root")
	docker.Export(t, "nginx:debian", layout)
	for name, target := range map[string]string{"lib": "usr/lib", "bin": "usr/bin", "sbin": "usr/sbin"} {
		if got, err := os.Readlink(filepath.Join(layout, name)); err != nil || got != target {
			t.Errorf("/%s in the image is a link to %q, %v: want %q", name, got, err, target)
		}
	}
	if said := docker.Run(t, "nginx:debian", "/lib64/ld-linux-x86-64.so.2", "--list", "/usr/sbin/nginx"); !strings.Contains(said, "libssl.so.3 => /") {
		t.Errorf("the interpreter by its real name: %s", said)
	}
}

// toolsWithoutNix returns a PATH with terrine and every tool of the machine, but
// those of Nix.
func toolsWithoutNix(t *testing.T, terrine string) string {
	t.Helper()
	dir := t.TempDir()
	for _, tools := range filepath.SplitList(os.Getenv("PATH")) {
		entries, _ := os.ReadDir(tools) // some are not there
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), "nix") || e.Name() == "terrine" {
				continue
			}
			err := os.Symlink(filepath.Join(tools, e.Name()), filepath.Join(dir, e.Name()))
			if err != nil && !os.IsExist(err) {
				t.Fatal(err)
			}
		}
	}
	if err := os.Symlink(terrine, filepath.Join(dir, "terrine")); err != nil {
		t.Fatal(err)
	}
	return dir
}
