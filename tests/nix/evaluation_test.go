package nix

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"terrine/tests/engines"
)

// Images can be evaluated to the last attribute, also where nothing is written
// and the program is not in the store yet.
func TestStrictEvaluation(t *testing.T) {
	endToEnd(t)
	e := function(t, `builtins.mapAttrs (_: i: builtins.seq (builtins.deepSeq i 0) i.imageName) {
  layered = t.buildLayeredImage { name = "layered"; contents = [ hello t.fakeNss ]; extraCommands = "true"; };
  streamed = t.streamLayeredImage { name = "streamed"; contents = hello; };
  single = t.buildImage { name = "single"; copyToRoot = hello; };
}`)
	program, err := os.ReadFile(shared.Terrine(t))
	if err != nil {
		t.Fatal(err)
	}
	// What follows the program does not change it; but nix has not seen this one.
	fresh := filepath.Join(t.TempDir(), "terrine")
	if err := os.WriteFile(fresh, append(program, t.TempDir()...), 0o755); err != nil {
		t.Fatal(err)
	}
	e.args = []string{"--argstr", "terrine", fresh}
	said := engines.Nix(t, "nix-instantiate", append([]string{"--eval", "--strict", "--json", e.file}, e.args...)...)
	var names map[string]string
	if err := json.Unmarshal([]byte(strings.Join(said, " ")), &names); err != nil || len(names) != 3 {
		t.Errorf("evaluated: %s (%v)", said, err)
	}
}

// What users of dockerTools do with an image beside building it.
func TestImagesAreLikePackages(t *testing.T) {
	endToEnd(t)
	e := function(t, `let
  layered = t.buildLayeredImage { name = "layered"; tag = "1"; meta.description = "old"; };
  streamed = t.streamLayeredImage { name = "streamed"; };
  # As in nixpkgs' lib.
  getExe = p: "${p.bin or p.out or p}/bin/${p.meta.mainProgram}";
  changed = layered.overrideAttrs (old: { name = "changed.tar.gz"; meta = old.meta // { license = "MIT"; }; passthru = old.passthru // { more = 1; }; });
in {
  values = {
    stream = (layered.stream.override { tag = "2"; }).imageTag;
    ofStream = (streamed.overrideAttrs (final: old: { name = old.name + final.suffix; suffix = "-x"; })).name;
    inherit (changed) name meta more imageName;
    outputs = [ layered.outputs streamed.outputs ];
    description = layered.override { meta = { }; } ? meta.description;
    null = (t.buildLayeredImage { name = "x"; maxLayers = null; extraCommands = null; includeNixDB = null; }).drvPath == (t.buildLayeredImage { name = "x"; }).drvPath;
    dates = (t.buildLayeredImage { name = "x"; created = "20240131"; mtime = "20240131120000"; }).drvPath
      == (t.buildLayeredImage { name = "x"; created = "2024-01-31T00:00:00Z"; mtime = "2024-01-31T12:00:00Z"; }).drvPath;
  };
  built = derivation { name = "uses-them"; system = builtins.currentSystem; builder = "${busybox}/bin/sh";
    # There is no home, and the image is made without the cache in it.
    args = [ "-euc" "HOME= XDG_CACHE_HOME= ${getExe streamed} > $out; test -s ${changed}" ]; };
}`)
	var got map[string]any
	e.eval(t, "values", &got)
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"dates":true,"description":false,"imageName":"layered","meta":{"description":"old","license":"MIT"},"more":1,` +
		`"name":"changed.tar.gz","null":true,"ofStream":"stream-streamed-x","outputs":[["out"],["out","app"]],"stream":"2"}`
	if string(text) != want {
		t.Errorf("evaluated\n%s\nwant\n%s", text, want)
	}
	if info, err := os.Stat(e.build(t, "built")[0]); err != nil || info.Size() == 0 {
		t.Errorf("streamed in a build: %v, %v", info, err)
	}
}

// A flake is evaluated with nothing but itself: its program is a file of it.
func TestPureEvaluation(t *testing.T) {
	endToEnd(t)
	dir := t.TempDir()
	text := `{ outputs = { self }: { packages.x86_64-linux.default =
  (import ./nix { terrine = ./terrine; system = "x86_64-linux"; }).buildLayeredImage { name = "pure"; created = self.lastModifiedDate; }; }; }`
	if err := os.WriteFile(filepath.Join(dir, "flake.nix"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "nix"), os.DirFS("../../nix")); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(shared.Terrine(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "terrine"), program, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "nix", "--extra-experimental-features", "nix-command flakes", "build", "--no-link", "path:"+dir)
	cmd.Env = append(os.Environ(), engines.NixEnv()...)
	engines.Run(t, cmd)

	text = strings.Replace(text, ` system = "x86_64-linux";`, "", 1)
	if err := os.WriteFile(filepath.Join(dir, "flake.nix"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	again := exec.CommandContext(t.Context(), cmd.Args[0], cmd.Args[1:]...)
	again.Env = cmd.Env
	if r := engines.Try(t, again); r.Code == 0 || !strings.Contains(r.Stderr, "pass system = ") {
		t.Errorf("without a system: exit code %d\n%s", r.Code, r.Stderr)
	}
}

// A label may say of what derivation an image is, without having that in it.
func TestLabelOfADerivation(t *testing.T) {
	endToEnd(t)
	e := function(t, `t.buildLayeredImage { name = "x"; config.Labels.drv = builtins.unsafeDiscardStringContext hello.drvPath; }`)
	engines.Nix(t, "nix-build", append([]string{"--quiet", "--no-out-link", e.file}, e.args...)...)
}

// Where contents differ the first has its way, as with dockerTools; but in
// buildImage the last, which is copied over the others.
func TestWhoseFileItIs(t *testing.T) {
	endToEnd(t)
	e := function(t, `let show = "test \"$(bin/hello)\" != \"$(${hello}/bin/hello)\"";
  shown = derivation { name = "shown"; system = builtins.currentSystem; builder = "${busybox}/bin/sh";
    args = [ "-euc" "${busybox}/bin/mkdir -p $out/bin; echo 'echo shown' > $out/bin/hello; ${busybox}/bin/busybox chmod 755 $out/bin/hello" ]; };
in {
  first = t.buildLayeredImage { name = "first"; contents = [ shown hello ]; extraCommands = show; };
  last = t.buildImage { name = "last"; copyToRoot = [ hello shown ]; extraCommands = show; };
}`)
	e.build(t, "first", "last")
}

// buildImage has copies in dockerTools: commands can write to directories that the
// content only links to.
func TestDirectoriesOfBuildImage(t *testing.T) {
	endToEnd(t)
	e := function(t, `t.buildImage { name = "x"; copyToRoot = [ linked hello ]; runAsRoot = "echo new > /bin/new; /bin/hello"; extraCommands = "echo newer >> bin/new"; }`)
	engines.Nix(t, "nix-build", append([]string{"--quiet", "--no-out-link", e.file}, e.args...)...)
}

// shadowSetup has groupadd and the like on PATH.
func TestShadowSetup(t *testing.T) {
	endToEnd(t)
	e := function(t, `let shadow = make { shell = "${busybox}/bin/sh"; tools = [ busybox ]; shadow = hello; };
in {
  chroot = shadow.buildImage { name = "x"; runAsRoot = "${shadow.shadowSetup}\nhello; test -s /etc/passwd"; };
  inTree = shadow.buildLayeredImage { name = "x"; fakeRootCommands = "${shadow.shadowSetup}\nhello; test -s etc/passwd"; };
}`)
	e.build(t, "chroot", "inTree")
}

// Commands find links to files of the store in their tree. What they write there
// would be in the store for all, where it belongs to who builds.
func TestCommandsCannotChangeTheStore(t *testing.T) {
	endToEnd(t)
	for _, argument := range []string{"extraCommands", "fakeRootCommands"} {
		said := try(t, `t.buildLayeredImage { name = "x"; contents = [ hello ]; `+argument+` = "echo changed >> bin/hello"; }`)
		if !strings.Contains(said, "Read-only file system") {
			t.Errorf("%s: nix says\n%s", argument, said)
		}
	}
	if said := try(t, `t.buildImage { name = "x"; copyToRoot = [ hello ]; runAsRoot = "echo changed >> /bin/hello"; }`); !strings.Contains(said, "Read-only file system") {
		t.Errorf("runAsRoot: nix says\n%s", said)
	}
	e := function(t, `hello`)
	engines.Nix(t, "nix-store", append([]string{"--verify-path"}, engines.Nix(t, "nix-build", append([]string{"--quiet", "--no-out-link", e.file}, e.args...)...)...)...)
}
