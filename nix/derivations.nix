# Derivations whose builder is terrine, and what all the functions share.
{
  terrine,
  system,
  hostSystem,
  shell,
  tools,
}:
let
  inherit (builtins)
    attrNames
    filter
    hasContext
    isAttrs
    isList
    isPath
    isString
    match
    pathExists
    storePath
    substring
    ;
in
rec {
  inherit
    system
    hostSystem
    shell
    tools
    ;

  # Where a package or a path has its program.
  program =
    let
      named = isPath terrine || (isString terrine && !hasContext terrine);
      stored = isString terrine && match "${builtins.storeDir}/.*" terrine != null;
      given = if named && stored then storePath terrine else "${terrine}";
      isProgram = match ".*/bin/terrine" given != null || !(isAttrs terrine || pathExists "${given}/bin/terrine");
    in
    if named && !stored then
      # The one file is copied into the store. What is looked at is not the copy:
      # an evaluation that does not write makes none.
      builtins.path {
        path = if pathExists (terrine + "/bin/terrine") then terrine + "/bin/terrine" else terrine;
        name = "terrine";
      }
    else if isProgram then
      given
    else
      "${given}/bin/terrine";

  # The shell that runs commands, as a program.
  shellProgram =
    given:
    if given == null then
      null
    else if isAttrs given then
      "${given}${given.shellPath or "/bin/sh"}"
    else
      "${given}";

  # A derivation that `terrine nix-builder MODE` makes of attributes.
  make =
    mode: attributes:
    derivation (
      {
        inherit system;
        builder = program;
        args = [
          "nix-builder"
          mode
        ];
        __structuredAttrs = true;
        # It takes less time to build them than to ask for them.
        preferLocalBuild = true;
      }
      // attributes
    );

  # The spec of an image as a file. Its references are the store paths that the
  # image is made of: Nix finds them in the text.
  makeSpec =
    name: spec:
    make "spec" {
      inherit name;
      spec = present spec;
    };

  # A derivation that looks at a spec with the closure of everything it names.
  fromSpec =
    mode: conf: attributes:
    make mode (
      attributes
      // {
        conf = "${conf}";
        exportReferencesGraph.closure = [ "${conf}" ];
      }
    );

  # Attributes that are not null.
  present = attributes: removeAttrs attributes (filter (n: attributes.${n} == null) (attrNames attributes));

  toList =
    x:
    if isList x then
      x
    else if x == null then
      [ ]
    else
      [ x ];

  lower =
    let
      letters = text: builtins.genList (i: substring i 1 text) 26;
    in
    builtins.replaceStrings (letters "ABCDEFGHIJKLMNOPQRSTUVWXYZ") (letters "abcdefghijklmnopqrstuvwxyz");

  # The 32 characters of a store path that are its own, without making whoever
  # uses them depend on the path.
  hashPart = path: substring 0 32 (baseNameOf (builtins.unsafeDiscardStringContext "${path}"));

  # Adds what nixpkgs' derivations have beside their outputs. finish makes what
  # users get of the plain derivation.
  decorate =
    finish: drv: passthru: meta:
    finish drv
    // passthru
    // {
      inherit passthru meta;
      outputs = drv.outputs or [ "out" ];
      overrideAttrs =
        change:
        let
          old = drv.drvAttrs // {
            inherit passthru meta;
          };
          changed = change old;
          # As in nixpkgs, a function may also take the new attributes first.
          new = old // (if builtins.isFunction changed then (change new) old else changed);
        in
        decorate finish (derivation (
          removeAttrs new [
            "passthru"
            "meta"
          ]
        )) new.passthru new.meta;
    };

  # A function that can be given other arguments by its result's override.
  overridable =
    f:
    let
      call =
        args:
        f args
        // {
          override = change: call (args // (if builtins.isFunction change then change args else change));
        };
    in
    call;

  platforms = import ./platforms.nix;

  # The one system that contents are for.
  systemOf =
    function: contents:
    let
      of =
        c:
        if !(isAttrs c) then
          [ ]
        else if c ? stdenv.hostPlatform.system then
          [ c.stdenv.hostPlatform.system ]
        else if c ? system && !(c.anySystem or false) then
          [ c.system ]
        else
          [ ];
      all = builtins.concatMap of contents;
      other = filter (s: s != builtins.head all) all;
    in
    if all == [ ] then
      hostSystem
    else if other != [ ] then
      throw "terrine: ${function}: contents are for ${builtins.head all} and for ${builtins.head other}: say architecture"
    else
      builtins.head all;
}
