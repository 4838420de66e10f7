#!/bin/sh
# Makes the .nar files and hashes.txt with the real Nix (nix-bin 2.8 did):
#   sh goldens.sh
# Test code makes the same trees again, so their names and contents are there
# too (tree_test.go).
set -eu
cd "$(dirname "$0")"
here=$PWD
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

printf 'hello\n' >file
printf '#!/bin/sh\n' >executable
chmod 0744 executable
ln -s /no/such/thing symlink
mkdir empty
: >zero

n255=$(printf 'n%.0s' $(seq 255))
mkdir -p odd/empty odd/a/b/c
(
	cd odd
	printf 'blank' >'a name with blanks '
	printf 'newline' >"$(printf 'new\nline')"
	printf 'latin1' >"$(printf 'caf\351')"
	printf 'nfc' >"$(printf 'caf\303\251')"
	printf 'nfd' >"$(printf 'cafe\314\201')"
	printf 'escape' >"$(printf '\033]0;title\007')"
	printf 'long' >"$n255"
	printf '12345678' >a/b/c/eight
	printf '123456789' >a/b/c/nine
	printf 'B sorts before a' >B
	printf 'a-b sorts before a/' >a-b
	printf '.' >...
	printf 'x' >group-executable
	chmod 0454 group-executable
	printf 'x' >setuid
	chmod 4711 setuid
	printf 'linked' >hard1
	ln hard1 hard2
	ln -s a/b/c/eight relative
	ln -s ../../../../etc/passwd outside
	ln -s loop loop
	ln -s "$n255/$n255" long-target
	truncate -s 70000 sparse
)
for f in file executable symlink empty zero odd; do
	nix-store --dump $f >"$here/$f.nar"
done

truncate -s 5M sparse
printf 'end' >>sparse
for f in file executable symlink empty zero odd sparse; do
	printf '%s\tsha256:%s\t%s\n' $f "$(nix-hash --type sha256 $f)" "$(nix-store --dump $f | wc -c)"
done >"$here/hashes.txt"
