# A closure of three paths, and a derivation that keeps the references graph
# of it as nix gives it to a builder with structured attributes.
{ salt ? "" }:
let
  sh = name: text: attrs: derivation ({
    inherit name salt;
    system = builtins.currentSystem;
    builder = "/bin/bash";
    args = [ "-c" text ];
  } // attrs);
  leaf = sh "leaf" "echo leaf > $out" { };
  middle = sh "middle" "echo $leaf > $out" { inherit leaf; };
  root = sh "root" "echo $leaf $middle $out > $out" { inherit leaf middle; };
in [
  root
  (sh "attrs" ". ./.attrs.sh; while read -r line || [ -n \"$line\" ]; do echo \"$line\"; done < .attrs.json > \${outputs[out]}" {
    __structuredAttrs = true;
    exportReferencesGraph.graph = [ root ];
  })
]
