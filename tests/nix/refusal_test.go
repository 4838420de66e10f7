package nix

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"terrine/tests/engines"
)

// function is an expression over the functions, as t.
func function(t *testing.T, body string) expression {
	t.Helper()
	file := filepath.Join(t.TempDir(), "image.nix")
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	text := `{ terrine }: let
  fixtures = import ` + root + `/tests/fixtures/fixtures.nix;
  inherit (fixtures) busybox hello;
  other = derivation { name = "other"; system = builtins.currentSystem; builder = "${busybox}/bin/sh";
    args = [ "-euc" "${busybox}/bin/mkdir -p $out/bin; echo other > $out/bin/hello" ]; };
  # As buildEnv makes it of one package.
  linked = derivation { name = "linked"; system = builtins.currentSystem; builder = "${busybox}/bin/sh";
    args = [ "-euc" "${busybox}/bin/mkdir $out; ${busybox}/bin/busybox ln -s ${hello}/bin $out/bin" ]; };
  make = more: import ` + root + `/nix ({ inherit terrine; } // more);
  t = make { shell = "${busybox}/bin/sh"; tools = [ busybox ]; };
in ` + body
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return expression{file, []string{"--argstr", "terrine", shared.Terrine(t)}}
}

// try builds an expression, which is to fail, and returns what nix says.
func try(t *testing.T, body string) string {
	t.Helper()
	e := function(t, body)
	cmd := exec.CommandContext(t.Context(), "nix-build", append([]string{"--no-out-link", e.file}, e.args...)...)
	cmd.Env = append(os.Environ(), engines.NixEnv()...)
	r := engines.Try(t, cmd)
	if r.Code == 0 {
		t.Errorf("it is built: %s", r.Stdout)
	}
	return r.Stderr
}

// What is wrong with arguments is said when they are evaluated, or by the
// derivation that looks at them first.
func TestRefusals(t *testing.T) {
	endToEnd(t)
	for name, test := range map[string]struct{ body, want string }{
		"nothing alike":      {`t.buildLayeredImage { name = "x"; zip = true; }`, "unknown argument zip; there are annotations, "},
		"of nix2container":   {`t.buildImage { name = "x"; layers = [ ]; }`, "unknown argument layers: layers are given by layering.groups or layering.pins"},
		"its layers":         {`t.buildLayer { deps = [ hello ]; }`, "terrine: buildLayer: layers are made by the images: name what shares one in layering.groups"},
		"of buildImage":      {`t.buildLayeredImage { name = "x"; copyToRoot = hello; }`, "unknown argument copyToRoot: it is contents here"},
		"of the other":       {`t.buildImage { name = "x"; fakeRootCommands = "true"; }`, "unknown argument fakeRootCommands: runAsRoot does that here"},
		"no arguments":       {`t.buildImage "x"`, "terrine: buildImage: want an attribute set of arguments, not a string"},
		"type of a number":   {`t.buildLayeredImage { name = "x"; maxLayers = "100"; }`, `buildLayeredImage: maxLayers: want an integer, not a string ("100")`},
		"type of commands":   {`t.buildLayeredImage { name = "x"; extraCommands = [ "true" ]; }`, "buildLayeredImage: extraCommands: want a string, not a list"},
		"type of a switch":   {`t.buildLayeredImage { name = "x"; enableFakechroot = "yes"; }`, `enableFakechroot: want true or false, not a string ("yes")`},
		"type of the name":   {`t.buildLayeredImage { name = 5; }`, "name: want a string, not an integer (5)"},
		"type of contents":   {`t.buildLayeredImage { name = "x"; contents = 5; }`, "contents: want a package, a path, or a list of those, not an integer (5)"},
		"type of an item":    {`t.buildImage { name = "x"; copyToRoot = [ hello [ hello ] ]; }`, "buildImage: copyToRoot[1]: want a package or a path, not a list"},
		"below a store path": {`t.buildLayeredImage { name = "x"; contents = [ "${hello}/bin" ]; }`, "is below a store path, and contents are whole ones: files."},
		"links kept":         {`t.buildImage { name = "x"; copyToRoot = linked; keepContentsDirlinks = true; runAsRoot = "echo > /bin/new"; }`, "can't create /bin/new: Read-only file system"},
		"missing command":    {`t.buildImage { name = "x"; runAsRoot = "useradd alice"; }`, "hint: a command was not found: pass the packages that have it as the argument tools"},

		"no name":            {`t.buildLayeredImage { }`, "terrine: buildLayeredImage: argument name is missing"},
		"unknown argument":   {`t.streamLayeredImage { name = "x"; contens = [ ]; }`, "terrine: streamLayeredImage: unknown argument contens: did you mean contents?"},
		"base image":         {`t.buildLayeredImage { name = "x"; fromImage = hello; }`, "terrine: buildLayeredImage: fromImage: base images are not supported yet"},
		"its name":           {`t.buildImage { name = "x"; fromImageName = "y"; }`, "fromImageName: base images are not supported yet"},
		"pipeline":           {`t.buildLayeredImage { name = "x"; layeringPipeline = [ [ "flatten" ] [ "over" "rest" ] ]; }`, "layering.pipeline[1]: over takes 2 arguments, and has 1"},
		"two pipelines":      {`t.buildLayeredImage { name = "x"; layeringPipeline = [ ]; layering.pipeline = [ ]; }`, "layeringPipeline is layering.pipeline: give one of the two"},
		"mergeImages":        {`t.mergeImages [ ]`, "terrine: mergeImages: archives of several images are not supported yet"},
		"pullImage":          {`t.pullImage { }`, "terrine: pullImage: base images"},
		"nix-shell":          {`t.buildNixShellImage { drv = hello; }`, "terrine: buildNixShellImage: not supported"},
		"one layer":          {`t.buildLayeredImage { name = "x"; maxLayers = 1; }`, "maxLayers is 1: at least 2 are needed"},
		"compressor":         {`t.buildLayeredImage { name = "x"; compressor = "xz"; }`, `compressor: unknown "xz"; there are none, gz and zstd`},
		"both contents":      {`t.buildImage { name = "x"; contents = [ hello ]; copyToRoot = [ hello ]; }`, "contents is the old name of copyToRoot"},
		"no shell":           {`(make { }).buildLayeredImage { name = "x"; extraCommands = "true"; }`, "extraCommands: no shell to run it: pass shell"},
		"shell that is none": {`t.buildLayeredImage { name = "x"; shell = hello; extraCommands = "true"; }`, "hint: the argument shell is a package with bin/sh, or a program"},
		"no bash":            {`(make { }).binSh`, "terrine: bin-sh: no package to make it of: pass bash"},
		"no certificates":    {`t.caCertificates`, "pass cacert when importing terrine"},
		"unknown system":     {`t.buildLayeredImage { name = "x"; contents = [ (hello // { system = "pdp11-unix"; }) ]; }`, "no image is for pdp11-unix: say architecture"},
		"two systems": {`t.buildLayeredImage { name = "x"; contents = [ hello (hello // { system = "aarch64-linux"; }) ]; }`,
			"contents are for x86_64-linux and for aarch64-linux: say architecture"},

		"config":          {`t.buildLayeredImage { name = "x"; config.Env = [ "X" ]; }`, `x-conf.json:5:7: config.Env[0]: "X" is not of the form KEY=VALUE`},
		"name":            {`t.buildLayeredImage { name = "x/y:z"; }`, `buildLayeredImage: name: "x/y:z" is no name of an image; a tag is an argument of its own`},
		"perms":           {`t.buildLayeredImage { name = "x"; perms."etc/*".uid = 5; }`, `apply perms "etc/*": nothing in the root layer matches`},
		"conflict":        {`t.buildLayeredImage { name = "x"; conflicts = "error"; contents = [ hello other ]; }`, "conflict at /bin/hello: "},
		"failing command": {`t.buildLayeredImage { name = "x"; extraCommands = "echo said; exit 3"; }`, "run extraCommands: exit status 3"},
		"failing as root": {`t.buildLayeredImage { name = "x"; fakeRootCommands = "busybox chmod u+s ."; }`,
			"setuid and setgid bits cannot be set inside a Nix build, nor devices made, nor files in the store changed: declare modes and owners with the arguments perms and files instead"},
		"pipe":  {`t.buildLayeredImage { name = "x"; fakeRootCommands = "busybox mkfifo pipe"; }`, `"pipe": it is neither file, directory nor symbolic link`},
		"store": {`t.buildLayeredImage { name = "x"; extraCommands = "mkdir -p nix/store; echo > nix/store/x"; }`, `"nix/store/x": nothing can stand in the store directory`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if said := try(t, test.body); !strings.Contains(said, test.want) {
				t.Errorf("nix says\n%s\nwant in it\n%s", said, test.want)
			}
		})
	}
}

// What dockerTools does not have: declared files and modes, which need no
// commands and come after those that there are.
func TestDeclaredFiles(t *testing.T) {
	endToEnd(t)
	docker := shared.Docker(t)
	e := function(t, `{
  declared = t.buildLayeredImage {
    name = "nix/declared";
    tag = "1";
    contents = [ busybox t.fakeNss ];
    extraCommands = "cat etc/app.conf > copy; chmod 600 etc/app.conf";
    tools = [ busybox (derivation { name = "chmod"; system = builtins.currentSystem; builder = "${busybox}/bin/sh";
      args = [ "-euc" "${busybox}/bin/mkdir -p $out/bin; ${busybox}/bin/busybox ln -s ${busybox}/bin/busybox $out/bin/chmod" ]; }) ];
    files."/etc/app.conf" = { text = "declared\n"; mode = "0640"; owner = "0:100"; };
    files."/bin/tool".source = "${hello}/bin/hello";
    perms."copy" = { mode = "4755"; owner = "1000:100"; };
    labels.a = "b";
  };
  overridden = (t.buildLayeredImage { name = "nix/one"; }).override (old: { name = old.name + "-more"; tag = "2"; });
}`)
	e.args = append(e.args, "--attr", "declared", "--attr", "overridden.conf")
	outputs := engines.Nix(t, "nix-build", append([]string{"--quiet", "--no-out-link", e.file}, e.args...)...)
	i := &image{docker: docker, output: outputs[0], want: "nix/declared:1"}
	i.load(t)
	listed(t, i)
	prints("declared\n1000:100:4755\n0:100:600\nroot", "/bin/sh", "-c",
		"cat /copy; stat -c %u:%g:%a /copy /etc/app.conf; while IFS=: read -r user more; do echo $user; break; done < /etc/passwd")(t, i)
	if labels := i.inspect(t).Config.Labels; labels["a"] != "b" {
		t.Errorf("the labels are %q", labels)
	}
	if text := read(t, outputs[1]); !strings.Contains(text, `"nix/one-more"`) {
		t.Errorf("overridden: %s", text)
	}
	forget(t, outputs[:1])
}
