# Which arguments there are, of which types, and what is said of others.
let
  inherit (builtins)
    attrNames
    concatStringsSep
    elemAt
    filter
    foldl'
    genList
    head
    isAttrs
    isBool
    isInt
    isList
    isPath
    isString
    length
    match
    sort
    stringLength
    substring
    toJSON
    typeOf
    ;

  type = wanted: is: { inherit wanted is; };
  bool = type "true or false" isBool;
  int = type "an integer" isInt;
  set = type "an attribute set" isAttrs;
  string = type "a string" isString;
  isThing = x: isString x || isPath x || isAttrs x && (x ? outPath || x ? __toString);
  thing = type "a package or a path" isThing;
  things = type "a package, a path, or a list of those" (x: isThing x || isList x);
  preset = type "true, false or an attribute set" (x: isBool x || isAttrs x);

  # Those of dockerTools that all the functions have.
  common = {
    name = string;
    tag = string;
    contents = things;
    config = set;
    architecture = string;
    created = string;
    mtime = string;
    uid = int;
    gid = int;
    uname = string;
    gname = string;
    extraCommands = string;
    includeStorePaths = bool;
    includeNixDB = bool;
    passthru = set;
    meta = set;
  };

  # Those of terrine: fields of a spec, and what runs commands.
  ours = {
    os = string;
    variant = string;
    files = set;
    perms = set;
    labels = set;
    annotations = set;
    layering = set;
    conflicts = string;
    join = string;
    tmp = bool;
    fakeNss = preset;
    caCertificates = thing;
    binSh = thing;
    usrBinEnv = thing;
    shell = thing;
    tools = things;
  };

  layered =
    common
    // ours
    // {
      maxLayers = int;
      fakeRootCommands = string;
      enableFakechroot = bool;
      layeringPipeline = type "a list or a file" (x: isList x || isThing x);
      debug = bool;
    };

  functions = {
    streamLayeredImage = layered;
    buildLayeredImage = layered // {
      compressor = string;
    };
    buildImage =
      common
      // ours
      // {
        copyToRoot = things;
        runAsRoot = type "a string or a file" (x: isString x || isThing x);
        compressor = string;
        # For its virtual machine, and for rsync.
        diskSize = int;
        buildVMMemorySize = int;
        keepContentsDirlinks = bool;
      };
  };

  baseImages = "base images are not supported yet";

  # What dockerTools takes and terrine does not, but for null.
  unsupported =
    function:
    {
      fromImage = baseImages;
    }
    // (
      if function == "buildImage" then
        {
          fromImageName = baseImages;
          fromImageTag = baseImages;
        }
      else
        { }
    );

  # What other functions, also those of nix2container, call something else.
  elsewhere =
    function:
    let
      inLayered = "an argument of buildLayeredImage";
    in
    {
      layers = "layers are given by layering.groups or layering.pins";
      initializeNixDatabase = "it is includeNixDB here";
      reproducible = "leave it out: layers are built by the image";
      arch = "it is architecture here";
    }
    // (
      if function == "buildImage" then
        {
          maxLayers = inLayered;
          layeringPipeline = inLayered;
          fakeRootCommands = "runAsRoot does that here";
          enableFakechroot = "runAsRoot does that here";
        }
      else
        {
          copyToRoot = "it is contents here";
          runAsRoot = "it is fakeRootCommands here, with enableFakechroot = true for absolute paths";
          compressor = "an argument of buildLayeredImage, whose attribute stream is the same image";
        }
    );

  # How many letters have to be added, removed or replaced to make b of a.
  distance =
    a: b:
    let
      letters = s: genList (i: substring i 1 s) (stringLength s);
      row =
        before: c:
        foldl' (
          now: i:
          let
            replaced = elemAt before i + (if substring i 1 b == c then 0 else 1);
            less = x: y: if x < y then x else y;
          in
          now ++ [ (less replaced (less (elemAt before (i + 1) + 1) (elemAt now i + 1))) ]
        ) [ (head before + 1) ] (genList (i: i) (stringLength b));
    in
    elemAt (foldl' row (genList (i: i) (stringLength b + 1)) (letters a)) (stringLength b);

  # The name that may have been meant, or null.
  nearest =
    known: name:
    let
      apart = map (k: {
        inherit k;
        d = distance name k;
      }) known;
      best = head (sort (x: y: x.d < y.d) apart);
    in
    if best.d * 3 <= stringLength name then best.k else null;

  # A value as it is shown in an error.
  show =
    x:
    if isInt x || isBool x || isString x && stringLength x < 60 then
      " (${toJSON x})"
    else
      "";
  article =
    x:
    {
      int = "an integer";
      set = "an attribute set";
      bool = "a boolean";
      lambda = "a function";
      null = "null";
    }
    .${typeOf x} or "a ${typeOf x}";

  complain = function: what: throw "terrine: ${function}: ${what}";
in
{
  # Refuses arguments that a function does not have, or that are of another type.
  # null is what was not given.
  check =
    function: args:
    let
      known = functions.${function};
      refused = unsupported function;
      given = attrNames args;
      unknown = filter (n: !(known ? ${n} || refused ? ${n})) given;
      first = head unknown;
      meant = nearest (attrNames known) first;
      hint =
        if elsewhere function ? ${first} then
          ": ${(elsewhere function).${first}}"
        else if meant != null then
          ": did you mean ${meant}?"
        else
          "";
      later = filter (n: refused ? ${n} && args.${n} != null) given;
      wrong = filter (n: known ? ${n} && args.${n} != null && !(known.${n}.is args.${n})) given;
      one = head wrong;
    in
    if !(isAttrs args) then
      complain function "want an attribute set of arguments, not ${article args}"
    else if unknown != [ ] then
      complain function "unknown argument ${concatStringsSep ", " unknown}${
        if hint == "" then "; there are ${concatStringsSep ", " (attrNames known)}" else hint
      }"
    else if later != [ ] then
      complain function "${head later}: ${refused.${head later}}"
    else if args.name or null == null then
      complain function "argument name is missing"
    else if wrong != [ ] then
      complain function "${one}: want ${known.${one}.wanted}, not ${article args.${one}}${show args.${one}}"
    else if match "[0-9a-zA-Z+_?=-][0-9a-zA-Z+._?=-]*" (baseNameOf args.name) == null then
      # The name is that of derivations too.
      complain function "name: ${toJSON args.name} is no name of an image; a tag is an argument of its own"
    else if known ? maxLayers && args.maxLayers or null != null && args.maxLayers < 2 then
      complain function "maxLayers is ${toString args.maxLayers}: at least 2 are needed"
    else
      removeAttrs args (filter (n: args.${n} == null) given);

  # What a list of contents, or a single one, has in it, as a list.
  contents =
    function: argument: given:
    let
      list = if isList given then given else [ given ];
      item =
        i: x:
        let
          at = if isList given then "${argument}[${toString i}]" else argument;
        in
        if !(isThing x) then
          complain function "${at}: want a package or a path, not ${article x}${show x}"
        else if isString x && match "${builtins.storeDir}/[^/]+/.+" x != null then
          complain function "${at}: ${
            builtins.unsafeDiscardStringContext x
          } is below a store path, and contents are whole ones: files.\"/PATH\".source takes one file of it"
        else
          x;
    in
    genList (i: item i (elemAt list i)) (length list);

  # A date as builds want it: dockerTools gives it to date(1), and flakes have
  # theirs as 20240131120000, of which the first eight are taken often.
  date =
    text:
    let
      part = match "([0-9]{4})([0-9]{2})([0-9]{2})(([0-9]{2})([0-9]{2})([0-9]{2}))?" text;
      at = elemAt part;
      time = if at 3 == null then "00:00:00" else "${at 4}:${at 5}:${at 6}";
    in
    if part == null then text else "${at 0}-${at 1}-${at 2}T${time}Z";

}
