#!/bin/sh
# Makes hashes.txt, paths.txt, export.bin and export.txt with the real Nix (nix-bin 2.8 did):
#   sh goldens.sh
# Each line of the .txt files is what a test asks for and what Nix answered,
# separated by tabs. Nothing outside a temporary directory is touched.
set -eu
cd "$(dirname "$0")"
here=$PWD
tmp=/tmp/terrine-golden # part of the other store directory, so always the same
mkdir "$tmp"
trap 'chmod -R u+w "$tmp"; rm -rf "$tmp"' EXIT
export NIX_REMOTE= NIX_CONFIG='sandbox = false
build-users-group =
substituters =
experimental-features = nix-command'
cd "$tmp"

printf 'hello\n' >hello.txt
mkdir -p tree/empty
printf x >tree/a
chmod +x tree/a
ln -s a tree/l

row() { printf '%s' "$1"; shift; printf '\t%s' "$@"; printf '\n'; }
{
	for algo in md5 sha1 sha256 sha512; do
		for h in "$(head -c 1000 /dev/zero | ${algo}sum | cut -d' ' -f1)" "$(printf '' | ${algo}sum | cut -d' ' -f1)"; do
			row "$algo" "$h" "$(nix-hash --to-base32 --type $algo "$h")" "$(nix hash to-sri --type $algo "$h")"
		done
	done
	ones=$(printf 'f%.0s' $(seq 64))
	row sha256 "$ones" "$(nix-hash --to-base32 --type sha256 "$ones")" "$(nix hash to-sri --type sha256 "$ones")"
} >"$here/hashes.txt"

store() { nix-store --store "$tmp/root" "$@"; }
{
	for f in hello.txt tree; do
		row source "$(nix-hash --type sha256 $f)" $f /nix/store "" "$(store --add $f)"
	done
	for algo in md5 sha1 sha256 sha512; do
		row fixed "$algo:$(nix-hash --flat --type $algo hello.txt)" flat hello.txt "$(store --add-fixed $algo hello.txt)"
		row fixed "$algo:$(nix-hash --type $algo tree)" recursive tree "$(store --add-fixed --recursive $algo tree)"
	done

	text() { nix-instantiate --store "$tmp/root" --eval --strict --expr "$1" | tr -d '"'; }
	row text greeting hello "" "$(text 'builtins.toFile "greeting" "hello"')"
	a=$(text 'builtins.toFile "a" "x"')
	b=$(text 'builtins.toFile "b" "y"')
	row text greeting "see $a and $b" "$a $b" "$(text "builtins.toFile \"greeting\" \"see \${builtins.toFile \"a\" \"x\"} and \${builtins.toFile \"b\" \"y\"}\"")"

	# Another store directory; and in it a path with references that Nix makes into
	# a `source` path.
	export NIX_STORE_DIR=$tmp/s/store NIX_STATE_DIR=$tmp/s/var NIX_LOG_DIR=$tmp/s/log
	p=$(nix-store --add tree)
	row source "$(nix-hash --type sha256 tree)" tree "${p%/*}" "" "$p"
	top() { # realises a derivation whose output refers to two others, and to what $1 is
		nix-store --realise "$(nix-instantiate --expr 'derivation { name = "top"; system = builtins.currentSystem; builder = "/bin/sh";
			args = [ "-c" "echo ${builtins.toFile "a" "x"} ${builtins.toFile "b" "y"} '"$1"' > $out" ]; }' 2>/dev/null)" 2>/dev/null
	}
	top=$(top '')
	ca=$(nix store make-content-addressed --json "$top" | sed "s|.*\"$top\":\"\([^\"]*\)\".*|\1|")
	row source "$(nix-hash --type sha256 "$ca")" top "${ca%/*}" "$(echo $(nix-store -q --references "$ca"))" "$ca"

	# The closure of one that refers to itself as well, exported; and what Nix has on it.
	top=$(top '$out')
	nix-store --export $(nix-store -qR "$top") >"$here/export.bin"
	for p in $(nix-store -qR "$top"); do
		deriver=$(nix-store -q --deriver "$p")
		[ "$deriver" = unknown-deriver ] && deriver=
		row "$p" "$(nix-store -q --hash "$p")" "$(nix-store -q --size "$p")" "$(echo $(nix-store -q --references "$p"))" "$deriver"
	done >"$here/export.txt"
	unset NIX_STORE_DIR NIX_STATE_DIR NIX_LOG_DIR
} >"$here/paths.txt"
