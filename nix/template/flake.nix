{
  description = "An image of a package";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
    terrine.url = "github:terrine-images/terrine";
    terrine.inputs.nixpkgs.follows = "nixpkgs";
  };

  outputs =
    { nixpkgs, terrine, ... }:
    let
      system = "x86_64-linux";
      pkgs = nixpkgs.legacyPackages.${system};
      images = terrine.legacyPackages.${system};
    in
    {
      # nix run .#image.stream | docker load
      # docker run --rm hello:latest
      packages.${system} = rec {
        default = image;
        image = images.buildLayeredImage {
          name = "hello";
          tag = "latest";
          contents = [
            pkgs.hello
            images.fakeNss
          ];
          config.Cmd = [ "/bin/hello" ];
        };
      };
    };
}
