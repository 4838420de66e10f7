# The images of the behaviours that nixpkgs' tests assert of dockerTools, by their
# number in the list of 78, and a few more. They are made of busybox and of
# Debian packages: no nixpkgs is wanted.
{
  terrine,
  # A nix with bash, and an nginx: the closures of Debian packages.
  nix ? [ ],
  nginx ? [ ],
  # Where that nginx listens.
  port ? "8080",
  # A program for i386.
  hello386 ? null,
  # Makes `others` new ones.
  salt ? "",
}:
let
  fixtures = import ../fixtures/fixtures.nix;
  inherit (fixtures) busybox hello greet;

  # The rest of what commands want.
  applets = derivation {
    name = "applets";
    system = builtins.currentSystem;
    builder = "${busybox}/bin/sh";
    args = [
      "-euc"
      ''
        ${busybox}/bin/mkdir -p $out/bin
        for a in cp ln chmod chown chgrp rm touch printf grep; do ${busybox}/bin/busybox ln -s ${busybox}/bin/busybox $out/bin/$a; done
      ''
    ];
  };

  images = import ../../nix {
    inherit terrine;
    shell = "${busybox}/bin/sh";
    tools = [
      busybox
      applets
    ];
    bash = busybox;
    coreutils = busybox;
    inherit (fixtures) cacert;
  };
  inherit (images)
    buildImage
    buildLayeredImage
    buildLayeredImageWithNixDb
    streamLayeredImage
    ;

  run = package: name: { Cmd = [ "${package}/bin/${name}" ]; };
  runHello = run hello "hello";

  stored = map builtins.storePath;

  # A package of another system, built here.
  cross =
    system:
    derivation {
      name = "hello-${system}";
      system = builtins.currentSystem;
      builder = "${busybox}/bin/sh";
      args = [
        "-euc"
        "${busybox}/bin/mkdir -p $out/bin; ${busybox}/bin/busybox cp ${
          builtins.path {
            path = hello386;
            name = "hello-386";
          }
        } $out/bin/hello; ${busybox}/bin/busybox chmod 755 $out/bin/hello"
      ];
    }
    // {
      stdenv.hostPlatform = { inherit system; };
    };

  nginxConf = builtins.toFile "nginx.conf" ''
    user nobody nobody;
    daemon off;
    error_log /dev/stderr info;
    pid /dev/null;
    events {}
    http {
      access_log /dev/null;
      server {
        listen 127.0.0.1:${port};
        location / { root ${webRoot}; index index.html; }
      }
    }
  '';
  webRoot = builtins.path {
    path = ./web;
    name = "web-root";
  };

  # The root file system of a Debian with nix and bash.
  nixRoot = stored nix ++ [ images.fakeNss ];
  nixPackage = builtins.head (builtins.filter (p: builtins.match ".*-nix-bin-.*" p != null) nix);
in
rec {
  inherit images fixtures;

  # The paths that the tests look for.
  paths = builtins.mapAttrs (_: p: "${p}") {
    inherit (fixtures)
      busybox
      hello
      greet
      plain-file
      symlink-path
      crowd
      ;
    nix = nixPackage;
  };

  rows = {
    D1 = streamLayeredImage {
      name = "nix/d1";
      contents = [ hello ];
      config.Cmd = [ "hello" ];
      config.Env = [ "PATH=/bin" ];
    };
    D2 = streamLayeredImage {
      name = "nix/d2";
      contents = [ hello ];
      includeStorePaths = false;
      config = runHello;
    };
    D3 = streamLayeredImage {
      name = "nix/d3";
      contents = [ hello ];
      includeStorePaths = false;
      enableFakechroot = true;
      fakeRootCommands = "mkdir -p /etc; echo chroot > /etc/made";
      config = runHello;
    };
    D8 = buildImage {
      name = "nix/d8";
      copyToRoot = [ hello ];
      config = runHello;
    };
    D9 = buildImage {
      name = "nix/d9";
      copyToRoot = nixRoot;
    };
    D10 = buildImage {
      name = "nix/d10";
      tag = "v1.2";
      copyToRoot = hello;
    };
    D11 = buildImage {
      name = "nix/d11";
      copyToRoot = hello;
    };
    D12 = buildLayeredImage {
      name = "nix/d12";
      contents = hello;
    };
    D13 = streamLayeredImage {
      name = "nix/d13";
      contents = hello;
    };
    D14 = buildLayeredImageWithNixDb {
      name = "nix/d14";
      contents = [ hello ];
    };
    D15 = buildImage {
      name = "nix/d15";
      compressor = "zstd";
      config = runHello;
    };
    D16 = buildImage {
      name = "nix/d16";
      compressor = "none";
      config = runHello;
    };
    D17 = buildLayeredImage {
      name = "nix/d17";
      compressor = "none";
      config = runHello;
    };
    D18 = buildLayeredImage {
      name = "nix/d18";
      compressor = "zstd";
      config = runHello;
    };
    D19 = images.buildImageWithNixDb {
      name = "nix/d19";
      copyToRoot = nixRoot;
    };
    D20 = buildLayeredImage {
      name = "nix/d20";
      contents = [
        busybox
        images.fakeNss
      ];
      config.User = "999";
    };
    D21 = buildImage {
      name = "nix/d21";
      copyToRoot = [
        busybox
        fixtures.twins
      ];
    };
    D22 = buildLayeredImage {
      name = "nix/d22";
      contents = [
        busybox
        fixtures.twins
      ];
    };
    D24 = buildLayeredImage {
      name = "nix/d24";
      contents = stored nginx ++ [ images.fakeNss ];
      extraCommands = ''
        mkdir -p tmp/nginx_client_body
        # nginx writes there before it has read its configuration.
        mkdir -p var/log/nginx var/lib/nginx
      '';
      config = {
        Cmd = [
          "/usr/sbin/nginx"
          "-c"
          nginxConf
        ];
        ExposedPorts."${port}/tcp" = { };
      };
    };
    D26 = buildImage {
      name = "nix/d26";
      copyToRoot = busybox;
      # Parentheses have broken dockerTools once.
      runAsRoot = "(echo 'runAsRoot' > /runAsRoot); chown 7:8 /runAsRoot";
      extraCommands = "(echo 'extraCommand' > extraCommands)";
    };
    D27 = buildImage {
      name = "nix/d27";
      created = "now";
      copyToRoot = hello;
    };
    D28 = buildLayeredImage {
      name = "nix/d28";
      created = "now";
      contents = hello;
    };
    D29 = buildLayeredImage {
      name = "nix/d29";
      contents = busybox;
      extraCommands = "echo 'layered content' > extraCommands";
      config.Cmd = [
        "/bin/cat"
        "/extraCommands"
      ];
    };
    D32 = buildLayeredImage {
      name = "nix/d32";
      contents = [
        hello
        fixtures.twins
      ];
    };
    D39 = buildLayeredImage {
      name = "nix/d39";
      maxLayers = 2;
      config = runHello;
    };
    D40 = buildLayeredImage {
      name = "nix/d40";
      maxLayers = 20;
      contents = [
        fixtures.crowd
        busybox
      ];
      config.Cmd = [ "/bin/hello" ];
    };
    D42 = buildLayeredImage {
      name = "nix/d42";
      extraCommands = "mkdir -p bin; ln -s ${busybox}/bin/busybox bin/sh; ln -s ${busybox}/bin/busybox bin/ls";
      config.Cmd = [
        "/bin/ls"
        "/nix/store"
      ];
    };
    D43 = buildLayeredImageWithNixDb {
      name = "nix/d43";
      contents = nixRoot ++ [ hello ];
      # Here the database knows of these too, as it does not with dockerTools.
      config.Env = [ "DATA=${fixtures.plain-file}" ];
      extraCommands = "ln -s ${greet}/bin/greet greet";
    };
    D45 = buildImage {
      name = "nix/d45";
      copyToRoot = cross "aarch64-linux";
    };
    D46 = buildLayeredImage {
      name = "nix/d46";
      contents = busybox;
      config.Cmd = [ "${fixtures.symlink-path}/bin/hello" ];
    };
    D47 = buildImage {
      name = "registry-1.docker.io/nix/d47";
      tag = "latest";
      config = runHello;
    };
    D48 = buildLayeredImage {
      name = "registry-1.docker.io/nix/D48";
      tag = "latest";
      config = runHello;
    };
    D49 = buildLayeredImage {
      name = "nix/d49";
      contents = busybox;
      # The last line is what dockerTools' streamNixShellImage does.
      fakeRootCommands = ''
        mkdir -p ./home/alice; chown 1000:100 ./home/alice; touch home/alice/f; chmod 1777 home
        mkdir -p nix/store; chmod a+w,+t nix/store; chown 7 nix/store
      '';
    };
    D54 = buildLayeredImage {
      name = "nix/d54";
      contents = busybox;
      fakeRootCommands = "mkdir -p ./usr/bin; ln -s ${hello}/bin/hello usr/bin/hi";
      config.Cmd = [ "/usr/bin/hi" ];
    };
    D57 = streamLayeredImage {
      name = "nix/d57";
      enableFakechroot = true;
      fakeRootCommands = "mkdir /bin; ln -s ${hello}/bin/hello /bin/hello";
      config.Cmd = [ "/bin/hello" ];
    };
    D58 = buildImage {
      name = "nix/d58";
      copyToRoot = [
        busybox
        ./tree
      ];
      config.Cmd = [
        "/bin/cat"
        "/hello.txt"
      ];
    };
    D59 = streamLayeredImage {
      name = "nix/d59";
      contents = [
        busybox
        ./tree
      ];
      config.Cmd = [
        "/bin/cat"
        "/hello.txt"
      ];
    };
    D60 = buildImage {
      name = "nix/d60";
      architecture = "arm64";
      copyToRoot = hello;
    };
    D61 = streamLayeredImage {
      name = "nix/d61";
      architecture = "arm64";
      contents = hello;
    };
    D63 = buildLayeredImage {
      name = "nix/d63";
      contents = [
        busybox
        images.caCertificates
        images.binSh
        images.usrBinEnv
      ];
    };
    D64 = images.buildImageWithNixDb {
      name = "nix/d64";
      copyToRoot = nixRoot;
    };
    D65 = streamLayeredImage {
      name = "nix/d65";
      contents = nixRoot;
      includeNixDB = true;
    };
    D75 = streamLayeredImage {
      name = "nix/d75";
      contents = busybox;
      enableFakechroot = true;
      fakeRootCommands = "mkdir -p /foo/bar; chown 12345:12345 /foo /foo/bar";
    };
    D76 = streamLayeredImage {
      name = "nix/d76";
      contents = busybox;
      uid = 1000;
      gid = 1000;
      uname = "user";
      gname = "user";
      includeNixDB = true;
    };
    D77 = buildLayeredImage {
      name = "nix/d77";
      contents = cross "i686-linux";
      config.Cmd = [ "/bin/hello" ];
    };
    D77-one-layer = buildImage {
      name = "nix/d77-one-layer";
      copyToRoot = cross "i686-linux";
      config.Cmd = [ "/bin/hello" ];
    };
    D78 = buildImage {
      name = "nix/d78";
      copyToRoot = busybox;
    };
  };

  # The streamed image of D76 as an archive.
  archiveOfD76 = rows.D76.archive;

  # The program that streams, as part of a string.
  inString = derivation {
    name = "in-string";
    system = builtins.currentSystem;
    builder = "${busybox}/bin/sh";
    args = [
      "-c"
      "echo ${rows.D29.stream} > $out"
    ];
  };

  # What docker is to list.
  references = builtins.mapAttrs (_: i: "${i.imageName}:${i.imageTag}") rows;

  # Images that are built beside one another while the store changes.
  many = builtins.genList (
    n:
    buildLayeredImage {
      name = "many-${toString n}";
      contents = [
        hello
        fixtures.crowd
      ];
      config.Env = [ "N=${toString n}" ];
    }
  ) 20;

  # Builds that have the same files, and so are made one by nix.
  others = builtins.genList (
    n:
    derivation {
      name = "other-${toString n}";
      system = builtins.currentSystem;
      builder = "${busybox}/bin/sh";
      args = [
        "-euc"
        "${busybox}/bin/mkdir $out; for i in $(${busybox}/bin/busybox seq 40); do echo bulk file $i > $out/$i; done; ${busybox}/bin/busybox cp ${hello}/bin/hello $out/; echo ${toString n} ${salt} > $out/n"
      ];
    }
  ) 40;
}
