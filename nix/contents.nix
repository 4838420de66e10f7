# What goes into contents beside packages.
{
  makeSpec,
  fromSpec,
  bash,
  coreutils,
  cacert,
  shadow,
  ...
}:
let
  # A tree of files that terrine knows how to make. Among the contents of an image
  # it becomes files of the image itself; everywhere else, such as in a buildEnv,
  # it is a package like any other.
  tree =
    name: preset:
    fromSpec "tree" (makeSpec "${name}.json" (preset // { inherit name; })) { inherit name; }
    // {
      terrinePreset = preset;
      anySystem = true;
      meta = { };
    };

  # A preset that links to something in a package.
  linking =
    name: field: argument: package:
    if package == null then
      throw "terrine: ${name}: no package to make it of: pass ${argument} when importing terrine"
    else
      tree name { ${field} = "${package}"; };

  lines = text: builtins.filter (l: builtins.isString l && l != "") (builtins.split "\n" text);

  # A word for a shell.
  quote = text: "'" + builtins.replaceStrings [ "'" ] [ "'\\''" ] text + "'";

  # Text or a list, as lines.
  toLines = x: if builtins.isString x then lines x else x;

  makeFakeNss =
    {
      extraPasswdLines ? [ ],
      extraGroupLines ? [ ],
    }:
    tree "fake-nss" {
      fakeNss = {
        extraPasswdLines = toLines extraPasswdLines;
        extraGroupLines = toLines extraGroupLines;
      };
    }
    // {
      override = makeFakeNss;
    };
in
rec {
  # /etc/passwd, /etc/group and /etc/nsswitch.conf with root and nobody.
  fakeNss = makeFakeNss { };

  # /bin/sh.
  binSh = linking "bin-sh" "binSh" "bash" bash;

  # /usr/bin/env.
  usrBinEnv = linking "usr-bin-env" "usrBinEnv" "coreutils" coreutils;

  # The bundle of certificates at the three places where programs look for it.
  caCertificates = linking "ca-certificates" "caCertificates" "cacert" cacert;

  # What shadow wants, for the argument files: real files of the image, to which
  # useradd in a container can write.
  shadowFiles = {
    "/etc/passwd".text = "root:x:0:0::/root:/bin/sh\n";
    "/etc/shadow" = {
      text = "root:!x:::::::\n";
      mode = "0640";
    };
    "/etc/group".text = "root:x:0:\n";
    "/etc/gshadow" = {
      text = "root:x::\n";
      mode = "0640";
    };
    "/etc/pam.d/other".text = ''
      account sufficient pam_unix.so
      auth sufficient pam_rootok.so
      password requisite pam_unix.so nullok yescrypt
      session required pam_unix.so
    '';
    "/etc/login.defs".text = "";
  };

  # The same as commands for a shell: each file where there is none yet. Below the
  # directory that they run in, which is the image's root in every case. What comes
  # after them finds groupadd and the like.
  shadowSetup = builtins.concatStringsSep "\n" (
    (if shadow == null then [ ] else [ "export PATH=${shadow}/bin:$PATH" ])
    ++ builtins.concatMap (
      path:
      let
        file = shadowFiles.${path};
        at = ".${path}";
      in
      [
        "mkdir -p ${dirOf at}"
        "test -e ${at} || { printf %s ${quote file.text} > ${at}; chmod ${file.mode or "0644"} ${at}; }"
      ]
    ) (builtins.attrNames shadowFiles)
  );
}
