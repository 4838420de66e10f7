{
  description = "Layered container images from Nix closures";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
        "x86_64-darwin"
        "aarch64-darwin"
      ];
      eachSystem = f: nixpkgs.lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});
      terrineFor = pkgs: pkgs.callPackage ./nix/package.nix { };
    in
    {
      packages = eachSystem (pkgs: rec {
        terrine = terrineFor pkgs;
        default = terrine;
      });

      lib = {
        # The functions of nix/default.nix with all they want from a nixpkgs. In a
        # cross nixpkgs, terrine and the commands run on the machine that builds.
        imagesFor =
          pkgs:
          let
            inherit (pkgs) buildPackages;
          in
          import ./nix {
            terrine = terrineFor buildPackages;
            system = pkgs.stdenv.buildPlatform.system;
            hostSystem = pkgs.stdenv.hostPlatform.system;
            shell = buildPackages.bash;
            # What commands find in nixpkgs' own dockerTools as well.
            tools = buildPackages.stdenv.initialPath;
            inherit (buildPackages) shadow;
            bash = pkgs.bashInteractive;
            inherit (pkgs) coreutils cacert;
          };
      };

      # buildLayeredImage and its like for the packages of this flake's nixpkgs.
      legacyPackages = eachSystem self.lib.imagesFor;

      overlays.default = final: _: {
        terrine = terrineFor final;
        terrineImages = self.lib.imagesFor final;
      };

      devShells = eachSystem (pkgs: {
        default = pkgs.mkShell {
          packages = [
            pkgs.go
            pkgs.gopls
            pkgs.gotools
            pkgs.gnumake
          ];
        };
      });

      checks = nixpkgs.lib.genAttrs systems (
        system:
        let
          pkgs = nixpkgs.legacyPackages.${system};
          images = self.legacyPackages.${system};
        in
        {
          package = self.packages.${system}.terrine;
          image = images.buildLayeredImage {
            name = "check";
            contents = [
              pkgs.hello
              images.fakeNss
            ];
            config.Cmd = [ "${pkgs.hello}/bin/hello" ];
          };
          commands = images.buildLayeredImage {
            name = "check-commands";
            extraCommands = "mkdir -p srv; echo made > srv/file";
            fakeRootCommands = "chown 1000:1000 srv/file";
          };
        }
      );

      templates.default = {
        path = ./nix/template;
        description = "An image of a package";
      };
    };
}
