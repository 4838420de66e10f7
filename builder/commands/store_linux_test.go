package commands

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"terrine/store/fault"
)

// TestScriptsCannotChangeTheStore: the tree has links into the store, whose files
// may belong to who builds.
func TestScriptsCannotChangeTheStore(t *testing.T) {
	for _, s := range []Script{{Text: "#"}, {Text: "#", Root: true}, {Text: "#", Chroot: true}} {
		b := newBench(t)
		store := filepath.Join(filepath.Dir(b.o.Tree), "store")
		if err := os.Mkdir(store, 0o755); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(store, "file")
		if err := os.WriteFile(file, []byte("kept"), 0o444); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(file, filepath.Join(b.o.Tree, "link")); err != nil {
			t.Fatal(err)
		}
		b.o.ReadOnly = []string{store, "/lib", "/lib64", "/usr"} // this test may be linked dynamically
		s.Text = "cat link; echo; ! echo changed >> link"
		if s.Root || s.Chroot || os.Geteuid() == 0 {
			s.Text += "; ! chmod 644 link; ! rm " + file + "; ! touch " + store + "/new"
		}
		b.run(s)
		if text, err := os.ReadFile(file); err != nil || string(text) != "kept" {
			t.Errorf("%+v: the file has %q (%v)", s, text, err)
		}
		if info, err := os.Stat(file); err != nil || info.Mode() != 0o444 {
			t.Errorf("%+v: the file is %v (%v)", s, info, err)
		}
		if _, err := os.Stat(filepath.Join(store, "new")); err == nil && (s.Root || s.Chroot) {
			t.Errorf("%+v: there is a new file in the store", s)
		}
		if !strings.HasPrefix(b.said.String(), "kept\n") {
			t.Errorf("%+v: it says %q", s, b.said.String())
		}
	}
}

// TestMountsThatAreForbidden: Ubuntu lets everybody have a user namespace, and
// mount nothing in it. Here the mount fails as there is no place for it, or a
// directory where it is a file.
func TestMountsThatAreForbidden(t *testing.T) {
	t.Chdir(t.TempDir())
	const file = "terrine-has-no-such-file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b := newBench(t)
	b.o.ReadOnly = []string{file}
	b.run(Script{Text: "touch f; chown 5:6 f", Root: true})
	b.wantOwner("f", 5, 6)
	err := Run(t.Context(), []Script{{Name: "x", Text: "true", Chroot: true}}, b.o, &b.owners)
	if fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), "no namespace to be root in: mount "+file+" in the tree: ") ||
		!strings.Contains(fault.HintOf(err), declare) {
		t.Errorf("error %v (hint: %s)", err, fault.HintOf(err))
	}
}

// A command that is not there is another thing than one that fails.
func TestCommandThatIsMissing(t *testing.T) {
	for _, asRoot := range []bool{false, true} {
		b := newBench(t)
		err := Run(t.Context(), []Script{{Name: "x", Text: "useradd alice", Root: asRoot}}, b.o, &b.owners)
		if fault.CodeOf(err) != fault.Build || !strings.Contains(fault.HintOf(err), "as the argument tools") {
			t.Errorf("error %v (hint: %s)", err, fault.HintOf(err))
		}
	}
}
