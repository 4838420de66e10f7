package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"terrine/builder/commands"
	"terrine/builder/rootfs"
	"terrine/store/fault"
)

// rootTree makes the root layer of the spec.
func (n *nixBuild) rootTree(ctx context.Context) (*rootfs.Tree, error) {
	plan, _, err := n.plan(ctx)
	if err != nil {
		return nil, err
	}
	tree, err := plan.RootTree(ctx)
	if err != nil {
		return nil, err
	}
	var conflicts []string
	for _, c := range tree.Conflicts() {
		conflicts = append(conflicts, c.String())
	}
	n.warnConflicts(conflicts)
	return tree, nil
}

// writeTree writes the root layer of a spec as a package.
func (n *nixBuild) writeTree(ctx context.Context) error {
	tree, err := n.rootTree(ctx)
	if err != nil {
		return err
	}
	if err := os.Mkdir(n.out(), 0o755); err != nil {
		return err
	}
	return tree.Write(ctx, n.out(), nil)
}

// recordRoot runs commands on the root layer of a spec, and records what has
// become of it.
func (n *nixBuild) recordRoot(ctx context.Context) error {
	if err := n.findShell(); err != nil {
		return err
	}
	tree, err := n.rootTree(ctx)
	if err != nil {
		return err
	}
	dir := filepath.Join(n.top, "root")
	if err := errors.Join(os.Mkdir(dir, 0o755), os.Chmod(dir, 0o755)); err != nil { // whatever the umask
		return err
	}
	var owners commands.Owners
	if err := tree.Write(ctx, dir, owners.Set); err != nil {
		return err
	}
	o := commands.Options{
		Tree:     dir,
		Scratch:  n.top,
		Shell:    n.attrs.Shell,
		Env:      n.commandEnv(),
		Path:     append([]string{filepath.Dir(n.attrs.Shell)}, n.attrs.Tools...),
		ReadOnly: []string{n.storeDir()},
		Output:   n.Stderr,
	}
	var scripts []commands.Script
	for _, c := range n.attrs.Commands {
		scripts = append(scripts, commands.Script{Name: c.Name, Text: c.Text, Root: c.Root, Chroot: c.Chroot})
	}
	if err := commands.Run(ctx, scripts, o, &owners); err != nil {
		return err
	}
	return rootfs.Record(ctx, dir, n.out(), owners.Of)
}

// findShell tests that the shell is there.
func (n *nixBuild) findShell() error {
	_, err := os.Stat(n.attrs.Shell)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("find the shell: %w", err)
	return fault.New(fault.Refused, fault.Hint(err, "the argument shell is a package with bin/sh, or a program"))
}

// storeDir is the store directory that the output is in.
func (n *nixBuild) storeDir() string { return filepath.Dir(n.out()) }

// commandEnv is all that the user's commands see of the environment: what Nix
// has set, and the tools.
func (n *nixBuild) commandEnv() []string {
	env := []string{"SOURCE_DATE_EPOCH=315532800"} // as nixpkgs' stdenv has it
	for _, name := range []string{"HOME", "NIX_BUILD_CORES", "NIX_BUILD_TOP", "NIX_STORE", "TERM", "TMPDIR"} {
		if value := n.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// scriptText is a program that writes an image to stdout. It is the builder that
// is called, and not what is on PATH, so that the image is the same everywhere.
const scriptText = `#!%s
tag=%s
for argument; do
	case $argument in -t* | --tag | --tag=*) tag= ;; esac
done
exec %s build %s --closure %s --output - ${tag:+--tag="$tag"} "$@"
`

// systemShell runs scripts where no other shell is passed.
const systemShell = "/bin/sh"

// writeScript writes a program that calls build with the user's own cache, as
// the output app, and one that calls that, as the output out.
func (n *nixBuild) writeScript(context.Context) error {
	app := n.attrs.Outputs["app"]
	if app == "" {
		return fault.New(fault.Refused, fmt.Errorf("read %s: there is no output app", n.file))
	}
	shell := systemShell
	if n.attrs.Shell != "" {
		if err := n.findShell(); err != nil {
			return err
		}
		shell = n.attrs.Shell
	}
	_, name, _ := strings.Cut(filepath.Base(n.out()), "-")
	bin := filepath.Join(app, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	program := filepath.Join(bin, name)
	var text bytes.Buffer
	fmt.Fprintf(&text, scriptText, shell, shellWord(n.attrs.Reference), shellWord(n.attrs.Terrine), shellWord(n.attrs.Conf), shellWord(n.attrs.ClosureFile))
	if err := os.WriteFile(program, text.Bytes(), 0o755); err != nil {
		return err
	}
	return os.WriteFile(n.out(), []byte("#!"+shell+"\nexec "+shellWord(program)+" \"$@\"\n"), 0o755)
}

// shellWord quotes s for a shell.
func shellWord(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// nixCacheDir is a directory that builds use as a cache if it is there: Nix shows
// it to them where the setting extra-sandbox-paths says so.
const nixCacheDir = "/var/cache/terrine-nix"

// nixCache returns the cache for this build, or "" for none. Each of the users
// that Nix builds as has one of its own, since a cache is one user's.
func nixCache() string {
	if info, err := os.Stat(nixCacheDir); err != nil || !info.IsDir() {
		return ""
	}
	user := fmt.Sprint(os.Getuid())
	// In the sandbox all have the same number. The second one is that outside.
	if text, err := os.ReadFile("/proc/self/uid_map"); err == nil {
		if fields := strings.Fields(string(text)); len(fields) > 1 && fields[0] == user {
			user = fields[1]
		}
	}
	return filepath.Join(nixCacheDir, user)
}
