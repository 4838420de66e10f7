# nixpkgs' buildGoModule in short, with the Go of this machine: the modules come
# from a derivation whose output must have vendorHash, and are all that the second
# one sees of other modules.
{ system }:
f:
let
  attrs = f attrs;
  machine = import ./machine.nix;
  make =
    name: script: more:
    derivation (
      {
        inherit name system;
        inherit (attrs) src;
        builder = "/bin/bash";
        args = [
          "-euc"
          ''
            cp -r "$src" source
            chmod -R u+w source
            cd source
            ${script}
          ''
        ];
        PATH = machine.path;
        GOPROXY = machine.goproxy;
        GOMODCACHE = machine.gomodcache;
        GOCACHE = machine.gocache;
        GOTOOLCHAIN = "local";
        GOFLAGS = "-trimpath";
        HOME = ""; # Go notes how it is used where there is one
      }
      // more
    );
  modules = make "${attrs.pname}-${attrs.version}-go-modules" "go mod vendor -o \"$out\"" {
    outputHash = attrs.vendorHash;
    outputHashMode = "recursive";
    outputHashAlgo = "sha256";
  };
in
make "${attrs.pname}-${attrs.version}" ''
  cp -r ${modules} vendor
  chmod -R u+w vendor
  mkdir -p "$out/bin"
  for p in ${toString attrs.subPackages}; do
    go build -mod=vendor -buildvcs=false -ldflags="${toString attrs.ldflags}" -o "$out/bin/" "./$p"
  done
  . ${builtins.elemAt attrs.nativeBuildInputs 0}
  ${attrs.postInstall}
'' attrs.env
// {
  inherit (attrs) pname version meta;
}
