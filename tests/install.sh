#!/bin/sh
# Installs what the tests need and the machine does not have: Debian packages
# where we are root on a Debian, and staticcheck. Without that the tests that
# need a missing tool are skipped, or fail where CI=true.
set -eu
cd "$(dirname "$0")/.."

staticcheck=v0.8.2

# nix-bin builds the closures that the tests make images of (python3 makes
# derivations of Debian packages); docker.io, podman, skopeo and umoci take the
# images; the race detector needs gcc; the rest are what we compare with.
packages='nix-bin docker.io e2fsprogs xfsprogs btrfs-progs util-linux podman runc crun skopeo umoci pigz zstd xz-utils bzip2
	libarchive-tools busybox-static strace python3 gcc libc6-dev
	ca-certificates bash zsh fish groff-base'

missing=
for package in $packages; do
	case $(dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null) in
	installed) ;;
	*) missing="$missing $package" ;;
	esac
done

install() {
	export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
	apt-get update --quiet=2 || return
	# Newer Debians have the client of docker in a package of its own.
	if apt-cache show docker-cli >/dev/null 2>&1; then
		missing="$missing docker-cli"
	fi
	# No daemon of theirs is to start: the tests start their own.
	# shellcheck disable=SC2086
	RUNLEVEL=1 apt-get install --quiet=2 --yes --no-install-recommends $missing
}

if [ -n "$missing" ]; then
	if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		install || echo "cannot install all of:$missing" >&2
	else
		echo "not installed, and not root on a Debian:$missing" >&2
	fi
fi

bin=$(go env GOBIN)
bin=${bin:-$(go env GOPATH)/bin}
case $("$bin/staticcheck" -version 2>/dev/null) in
*"($staticcheck)"*) ;;
*) go install "honnef.co/go/tools/cmd/staticcheck@$staticcheck" ||
	echo 'staticcheck cannot be installed' >&2 ;;
esac
