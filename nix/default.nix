# Functions that stand in for nixpkgs' dockerTools: the same names and the same
# arguments. What differs is in docs/nix.md.
#
#   images = import ./nix { terrine = pkgs.terrine; shell = pkgs.bash; };
#   images.buildLayeredImage { name = "hello"; contents = [ pkgs.hello ]; }
#
# Every derivation here has terrine itself as its builder. Nothing of nixpkgs is
# used but what is passed.
{
  # The package, a store path with bin/terrine in it, or that file itself.
  terrine,
  # On which terrine runs.
  system ?
    builtins.currentSystem
      or (throw "terrine: the system is not known in pure evaluation: pass system = \"x86_64-linux\" or another when importing terrine"),
  # For which images are when nothing in their contents says it.
  hostSystem ? system,
  # Runs extraCommands, fakeRootCommands, runAsRoot and the programs that stream
  # images, which else need a /bin/sh: a package with bin/bash or bin/sh, or a
  # program. It is for `system`.
  shell ? null,
  # Packages whose bin directory is on the PATH of those commands, for `system`.
  tools ? [ ],
  # What shadowSetup puts on their PATH, so that they can add users: a package with
  # bin/useradd, for `system`.
  shadow ? null,
  # What binSh, usrBinEnv and caCertificates are made of: packages for `hostSystem`.
  bash ? shell,
  coreutils ? null,
  cacert ? null,
}:
let
  internal = import ./derivations.nix {
    inherit
      terrine
      system
      hostSystem
      shell
      tools
      ;
  };

  layered = import ./layered.nix internal;
  contents = import ./contents.nix (
    internal
    // {
      inherit
        bash
        coreutils
        cacert
        shadow
        ;
    }
  );

  # What dockerTools or nix2container have and terrine has not.
  absent = name: why: _: throw "terrine: ${name}: ${why}";
  later = name: absent name "base images are not supported yet";
in
layered
// contents
// {
  # "amd64" for "x86_64-linux", and the like.
  inherit (internal) platforms;

  mergeImages = absent "mergeImages" "archives of several images are not supported yet";
  pullImage = later "pullImage";
  exportImage = later "exportImage";
  pullImageFromManifest = later "pullImageFromManifest";
  buildLayer = absent "buildLayer" "layers are made by the images: name what shares one in layering.groups";
  buildNixShellImage = absent "buildNixShellImage" "not supported: it needs nixpkgs' stdenv";
  streamNixShellImage = absent "streamNixShellImage" "not supported: it needs nixpkgs' stdenv";
}
