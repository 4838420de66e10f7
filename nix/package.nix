{
  lib,
  buildGoModule,
  installShellFiles,
  stdenv,
}:
buildGoModule (finalAttrs: {
  pname = "terrine";
  version = "0.1.0";
  src = lib.cleanSource ../.;

  # A test compares it with what `go mod vendor` makes.
  vendorHash = "sha256-UhWMR+Qg0Q7Gy8MS4eO8ZV4R6YjcepHOK0B9++UA/s4=";

  subPackages = [ "cli/terrine" ];
  env.CGO_ENABLED = 0;
  ldflags = [
    "-s"
    "-X terrine/cli.release=${finalAttrs.version}"
  ];

  # The tests want nix, docker and the like: see `make test`.
  doCheck = false;

  nativeBuildInputs = [ installShellFiles ];
  postInstall = ''
    installManPage docs/man/*.1
  ''
  + lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
    for shell in bash zsh fish; do
      $out/bin/terrine completion $shell > terrine.$shell
    done
    installShellCompletion terrine.{bash,zsh,fish}
  '';

  meta = {
    description = "Layered container images from Nix closures";
    license = lib.licenses.asl20;
    mainProgram = "terrine";
  };
})
