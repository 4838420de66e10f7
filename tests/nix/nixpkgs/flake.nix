# As much of nixpkgs as terrine's flake asks for, where no nixpkgs is at hand. What
# it stands for is said in docs/nix.md. The test puts two files beside it: busybox,
# of which its packages are made, and machine.nix, which says where Go is.
{
  outputs =
    { self }:
    let
      genAttrs =
        names: f:
        builtins.listToAttrs (
          map (name: {
            inherit name;
            value = f name;
          }) names
        );

      packagesFor =
        system:
        let
          derive =
            name: script:
            derivation {
              inherit name system;
              builder = "${self}/busybox";
              args = [
                "sh"
                "-euc"
                "mkdir() { ${self}/busybox mkdir \"$@\"; }; cp() { ${self}/busybox cp \"$@\"; }; ln() { ${self}/busybox ln \"$@\"; }; ${script}"
              ];
            };
          # A package with programs that busybox has.
          tools =
            name: programs:
            derive name ''
              mkdir -p $out/bin
              cp ${self}/busybox $out/bin/busybox
              for p in ${programs}; do ln -s busybox $out/bin/$p; done
            '';
          shell = name: tools name "sh" // { shellPath = "/bin/sh"; };
          platform = {
            inherit system;
            canExecute = _: true;
          };
          pkgs = {
            inherit lib;
            stdenv = {
              buildPlatform = platform;
              hostPlatform = platform;
              initialPath = [
                pkgs.coreutils
                (tools "findutils" "find xargs")
                (tools "gnugrep" "grep")
                (tools "gnused" "sed")
              ];
            };
            buildPackages = pkgs;
            callPackage =
              file: more:
              let
                f = import file;
              in
              f (builtins.intersectAttrs (builtins.functionArgs f) pkgs // more);
            buildGoModule = import ./build-go-module.nix { inherit system; };
            installShellFiles = ./install-shell-files.sh;
            mkShell = { packages }: derive "shell" "for p in ${toString packages}; do echo $p; done > $out";

            bash = shell "bash";
            bashInteractive = shell "bash-interactive";
            coreutils = tools "coreutils" "cat chmod chown cp env id ln ls mkdir rm stat touch";
            cacert = derive "cacert" "mkdir -p $out/etc/ssl/certs; echo certificates > $out/etc/ssl/certs/ca-bundle.crt";
            hello = derive "hello" ''
              mkdir -p $out/bin
              echo "#!${pkgs.bash}/bin/sh" > $out/bin/hello
              echo "echo 'Hello from a flake'" >> $out/bin/hello
              ${self}/busybox chmod +x $out/bin/hello
            '';
            go = derive "go" "mkdir $out";
            gopls = derive "gopls" "mkdir $out";
            gotools = derive "gotools" "mkdir $out";
            gnumake = derive "gnumake" "mkdir $out";
          };
        in
        pkgs;

      lib = {
        inherit genAttrs;
        cleanSource = src: src;
        optionalString = condition: text: if condition then text else "";
        licenses.asl20 = "Apache-2.0";
      };
    in
    {
      inherit lib;
      legacyPackages = genAttrs [ "x86_64-linux" "aarch64-linux" "x86_64-darwin" "aarch64-darwin" ] packagesFor;
    };
}
