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
  checkArguments,
  lower,
  hashPart,
  decorate,
  overridable,
  platforms,
  systemOf,
  ...
}:
let
  inherit (builtins)
    concatMap
    elem
    filter
    head
    isAttrs
    removeAttrs
    ;

  # Arguments that dockerTools has too.
  arguments = [
    "name"
    "tag"
    "contents"
    "config"
    "architecture"
    "created"
    "mtime"
    "uid"
    "gid"
    "uname"
    "gname"
    "maxLayers"
    "extraCommands"
    "fakeRootCommands"
    "enableFakechroot"
    "includeStorePaths"
    "includeNixDB"
    "layeringPipeline"
    "debug"
    "passthru"
    "meta"
  ];

  # Arguments of terrine: fields of a spec, and what runs commands.
  ours = [
    "os"
    "variant"
    "files"
    "perms"
    "labels"
    "annotations"
    "layering"
    "conflicts"
    "join"
    "tmp"
    "fakeNss"
    "caCertificates"
    "binSh"
    "usrBinEnv"
    "shell"
    "tools"
  ];

  # What dockerTools takes and terrine does not, but for values that ask for nothing.
  unsupported = {
    fromImage = {
      unless = [ null ];
      why = "base images are not supported yet";
    };
  };

  extensions = {
    none = ".tar";
    gz = ".tar.gz";
    zstd = ".tar.zst";
  };

  # The presets among contents, and the rest of them.
  presetsOf = contents: builtins.foldl' (a: c: a // c.terrinePreset) { } (filter isPreset contents);
  isPreset = c: isAttrs c && c ? terrinePreset;

  # Everything that is made of the arguments of an image.
  image =
    function: args:
    let
      contents = toList (args.contents or [ ]);
      baseName = baseNameOf args.name;
      platform =
        let
          system = systemOf function contents;
          known = platforms.${system} or (throw "terrine: ${function}: no image is for ${system}: say architecture");
        in
        if args.architecture or null == null then
          known
        else
          {
            os = "linux";
            inherit (args) architecture;
          };

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
            text = toString (args.runAsRoot or "");
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
          config = if args.config or null == null then { } else args.config;
          inherit (platform) architecture;
          os = args.os or platform.os;
          variant = args.variant or platform.variant or null;
          created = args.created or null;
          mtime = args.mtime or null;
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
            if args.layeringPipeline or null == null then
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
      imageTag = if args.tag or null == null then hashPart conf else args.tag;
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

      # The script is the output itself: `$(nix-build …) | docker load`. But `nix run`
      # wants a program in bin, so there is a second output with one, which is what
      # outPath names; in strings the script stands.
      script =
        let
          drv = make "stream" {
            name = "stream-${baseName}";
            outputs = [
              "out"
              "app"
            ];
            inherit reference;
            terrine = program;
            conf = "${conf}";
            closureFile = "${closure}";
          };
        in
        drv
        // {
          outPath = drv.app.outPath;
          __toString = _: drv.outPath;
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

  stream =
    i: args:
    decorate i.script (
      i.passthru
      // {
        isExe = true;
        stream = stream i args;
      }
      // args.passthru or { }
    ) ({ mainProgram = "stream-${i.baseName}"; } // args.meta or { });

  # The name is that of derivations too.
  checkName =
    function: args: result:
    if !(args ? name) then
      throw "terrine: ${function}: argument name is missing"
    else if builtins.match "[0-9a-zA-Z+_?=-][0-9a-zA-Z+._?=-]*" (baseNameOf args.name) == null then
      throw "terrine: ${function}: name: ${builtins.toJSON args.name} is no name of an image; a tag is an argument of its own"
    else
      result;

  checkedLayered =
    function: more: args:
    let
      checked = checkArguments function (arguments ++ ours ++ more) unsupported args;
    in
    checkName function checked (
      if checked.maxLayers or 100 < 2 then
        throw "terrine: ${function}: maxLayers is ${toString args.maxLayers}: at least 2 are needed"
      else
        checked
    );

  streamLayeredImage = overridable (
    args:
    let
      checked = checkedLayered "streamLayeredImage" [ ] args;
    in
    stream (image "streamLayeredImage" checked) checked
  );

  archived =
    function: args: more:
    let
      i = image function args;
    in
    decorate (i.archive (args.compressor or "gz")) (
      i.passthru // { stream = stream i args; } // more // args.passthru or { }
    ) (args.meta or { });

  buildLayeredImage = overridable (
    args: archived "buildLayeredImage" (checkedLayered "buildLayeredImage" [ "compressor" ] args) { }
  );

  # Arguments of buildImage that are for its virtual machine and for rsync.
  machine = [
    "diskSize"
    "buildVMMemorySize"
    "keepContentsDirlinks"
  ];

  unsupportedByBuildImage = {
    inherit (unsupported) fromImage;
    fromImageName = unsupported.fromImage;
    fromImageTag = unsupported.fromImage;
  };

  buildImage = overridable (
    args:
    let
      known =
        filter (a: !(elem a [ "maxLayers" "layeringPipeline" "fakeRootCommands" "enableFakechroot" "debug" ])) arguments
        ++ ours
        ++ machine
        ++ [
          "copyToRoot"
          "runAsRoot"
          "compressor"
        ];
      checked = checkArguments "buildImage" known unsupportedByBuildImage args;
      both = toList (checked.contents or [ ]) != [ ] && toList (checked.copyToRoot or [ ]) != [ ];
      layers =
        removeAttrs checked [ "copyToRoot" ]
        // {
          contents = concatMap toList [
            (checked.copyToRoot or [ ])
            (checked.contents or [ ])
          ];
          maxLayers = 2;
          runAsRoot = if checked.runAsRoot or null == null then "" else checked.runAsRoot;
        };
    in
    if both then
      throw "terrine: buildImage: contents is the old name of copyToRoot: give one of the two"
    else
      archived "buildImage" (checkName "buildImage" checked layers) {
        buildArgs = args;
        layer = throw "terrine: buildImage: layer: layers are no derivations of their own";
      }
  );
in
{
  inherit buildLayeredImage streamLayeredImage buildImage;
  buildLayeredImageWithNixDb = args: buildLayeredImage (args // { includeNixDB = true; });
  buildImageWithNixDb = args: buildImage (args // { includeNixDB = true; });
}
