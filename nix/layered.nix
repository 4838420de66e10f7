# buildLayeredImage, streamLayeredImage and buildImage.
internal@{
  program,
  shell,
  tools,
  shellProgram,
  make,
  makeSpec,
  fromSpec,
  present,
  toList,
  lower,
  hashPart,
  decorate,
  overridable,
  platforms,
  systemOf,
  ...
}:
let
  arguments = import ./arguments.nix;

  inherit (builtins)
    filter
    head
    isAttrs
    ;

  extensions = {
    none = ".tar";
    gz = ".tar.gz";
    zstd = ".tar.zst";
  };

  # The presets among contents, and the rest of them.
  presetsOf = contents: builtins.foldl' (a: c: c.terrinePreset // a) { } (filter isPreset contents);
  isPreset = c: isAttrs c && c ? terrinePreset;

  # Everything that is made of the arguments of an image.
  image =
    function: args:
    let
      # The first has its way. In dockerTools' buildImage the last one has: it is
      # copied over the others.
      contents = (if function == "buildImage" then builtins.foldl' (a: c: [ c ] ++ a) [ ] else c: c) (
        arguments.contents function (args.contentsName or "contents") (args.contents or [ ])
      );
      baseName = baseNameOf args.name;
      platform =
        let
          system = systemOf function contents;
          known = platforms.${system} or (throw "terrine: ${function}: no image is for ${system}: say architecture");
        in
        if args ? architecture then
          {
            os = "linux";
            inherit (args) architecture;
          }
        else
          known;

      # What is in the root layer.
      root =
        presetsOf contents
        // present {
          contents = map (c: "${c}") (filter (c: !(isPreset c)) contents);
          files = args.files or null;
          tmp = args.tmp or null;
          fakeNss = args.fakeNss or null;
          caCertificates = args.caCertificates or null;
          binSh = args.binSh or null;
          usrBinEnv = args.usrBinEnv or null;
          conflicts = args.conflicts or null;
          join = args.join or null;
        };

      # Commands change a tree on disk. It is a derivation of its own, so that Nix
      # finds what it refers to.
      commands = filter (c: c.text != "") (
        [
          {
            name = "runAsRoot";
            text = "${args.runAsRoot or ""}";
            chroot = true;
          }
          {
            name = "extraCommands";
            text = args.extraCommands or "";
          }
          {
            name = "fakeRootCommands";
            text = args.fakeRootCommands or "";
            root = true;
            chroot = args.enableFakechroot or false;
          }
        ]
      );
      theShell = shellProgram (args.shell or shell);
      tree = fromSpec "root" (makeSpec "${baseName}-root.json" (root // { name = lower args.name; })) {
        name = "${baseName}-root";
        inherit commands;
        shell =
          if theShell == null then
            throw "terrine: ${function}: ${(head commands).name}: no shell to run it: pass shell = pkgs.bash, here or when importing terrine; or declare files and perms"
          else
            theShell;
        tools = map (t: "${t}/bin") (toList (args.tools or tools));
      };

      conf = makeSpec "${baseName}-conf.json" (
        (if commands == [ ] then root else { rootTree = "${tree}"; })
        // present {
          name = lower args.name;
          tag = args.tag or null;
          config = args.config or { };
          inherit (platform) architecture;
          os = args.os or platform.os;
          variant = args.variant or platform.variant or null;
          created = if args ? created then arguments.date args.created else null;
          mtime = if args ? mtime then arguments.date args.mtime else null;
          uid = args.uid or null;
          gid = args.gid or null;
          uname = args.uname or null;
          gname = args.gname or null;
          maxLayers = args.maxLayers or null;
          includeStorePaths = args.includeStorePaths or null;
          includeNixDB = args.includeNixDB or null;
          perms = args.perms or null;
          labels = args.labels or null;
          annotations = args.annotations or null;
          layering =
            if !(args ? layeringPipeline) then
              args.layering or null
            else if args ? layering.pipeline then
              throw "terrine: ${function}: layeringPipeline is layering.pipeline: give one of the two"
            else
              args.layering or { }
              // {
                # Steps, or a file with them, as dockerTools has it.
                pipeline =
                  if builtins.isList args.layeringPipeline then args.layeringPipeline else "${args.layeringPipeline}";
              };
        }
      );
    in
    rec {
      inherit conf baseName;
      imageName = lower args.name;
      imageTag = args.tag or (hashPart conf);
      reference = "${imageName}:${imageTag}";

      # What the script that streams knows of the closure.
      closure = fromSpec "closure" conf { name = "${baseName}-closure.json"; };

      plan = fromSpec "plan" conf { name = "${baseName}-plan.json"; };

      archive =
        compressor:
        fromSpec "image" conf {
          name =
            baseName
            + extensions.${compressor}
              or (throw "terrine: ${function}: compressor: unknown ${builtins.toJSON compressor}; there are none, gz and zstd");
          inherit reference compressor;
        };

      script = make "stream" {
        name = "stream-${baseName}";
        outputs = [
          "out"
          "app"
        ];
        inherit reference;
        # It is run on other machines as well: a shell of this one alone is no help.
        shell = if theShell != null && builtins.hasContext theShell then theShell else null;
        terrine = program;
        conf = "${conf}";
        closureFile = "${closure}";
      };

      passthru = {
        inherit
          conf
          closure
          imageName
          imageTag
          plan
          ;
        archive = archive "none";
      }
      // (if commands == [ ] then { } else { rootTree = tree; });
    };

  # The script is the output itself: `$(nix-build …) | docker load`. But `nix run`
  # wants a program in bin, so there is a second output with one, which is what
  # outPath names, and bin for nixpkgs' getExe; in strings the script stands.
  runnable =
    drv:
    drv
    // {
      outPath = drv.app.outPath;
      bin = drv.app;
      __toString = _: drv.outPath;
    };

  stream =
    i: args:
    let
      self = decorate runnable i.script (
        i.passthru
        // {
          isExe = true;
          stream = self;
        }
        // args.passthru or { }
      ) ({ mainProgram = "stream-${i.baseName}"; } // args.meta or { });
    in
    self;

  # What a function makes of its arguments, before an image is made of those.
  prepare = {
    streamLayeredImage = arguments.check "streamLayeredImage";
    buildLayeredImage = arguments.check "buildLayeredImage";
    buildImage =
      args:
      let
        checked = arguments.check "buildImage" args;
        isGiven = name: toList (checked.${name} or [ ]) != [ ];
        contentsName = if isGiven "copyToRoot" then "copyToRoot" else "contents";
      in
      if isGiven "contents" && isGiven "copyToRoot" then
        throw "terrine: buildImage: contents is the old name of copyToRoot: give one of the two"
      else
        checked
        // {
          inherit contentsName;
          contents = checked.${contentsName} or [ ];
          # As rsync copies them. It is for buildEnv, which links to directories.
          join = checked.join or (if checked.keepContentsDirlinks or false then "contents" else "directories");
          maxLayers = 2;
        };
  };

  streamed =
    function:
    overridable (
      args:
      let
        prepared = prepare.${function} args;
      in
      stream (image function prepared) prepared
    );

  archived =
    function: more:
    overridable (
      args:
      let
        prepared = prepare.${function} args;
        i = image function prepared;
      in
      decorate (drv: drv) (i.archive (prepared.compressor or "gz")) (
        i.passthru // { stream = streamed function args; } // more args // prepared.passthru or { }
      ) (prepared.meta or { })
    );

  streamLayeredImage = streamed "streamLayeredImage";
  buildLayeredImage = archived "buildLayeredImage" (_: { });
  buildImage = archived "buildImage" (args: { buildArgs = args; });
in
{
  inherit buildLayeredImage streamLayeredImage buildImage;
  buildLayeredImageWithNixDb = args: buildLayeredImage (args // { includeNixDB = true; });
  buildImageWithNixDb = args: buildImage (args // { includeNixDB = true; });
}
