#!/bin/sh
# Runs every fuzz target of the module for FUZZTIME (10s), two at a time. What
# it finds it leaves in testdata/fuzz of the package, as go test does.
set -eu
cd "$(dirname "$0")/.."
export FUZZTIME="${FUZZTIME:-10s}"

# Left to itself, go test spends a minute on making each input that it keeps
# smaller, byte range by byte range: all of the time, for archives.
minimize=-fuzzminimizetime=100x

# one PACKAGE TARGET: its last words when it is content, all of them if not.
one() {
	log=$(mktemp)
	trap 'rm -f "$log"' EXIT
	for attempt in 1 2; do
		if go test "./$1" -run '^$' -fuzz "^$2\$" -fuzztime "$FUZZTIME" "$minimize" -parallel 1 >"$log" 2>&1; then
			echo "ok  $1 $2: $(grep '^fuzz: elapsed' "$log" | tail -n 1 | sed 's/^fuzz: //')"
			return 0
		fi
		# Go itself fails now and then when the time is up (golang/go#75804):
		# that is no finding, and has no input to show.
		if grep -q 'Failing input written' "$log" || ! grep -q 'context deadline exceeded' "$log"; then
			break
		fi
	done
	echo "FAIL $1 $2 (attempt $attempt)"
	cat "$log"
	return 1
}

if [ $# = 2 ]; then
	one "$1" "$2"
	exit
fi

grep -rE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*\(' . |
	sed -E 's|^\./(.*)/[^/]*:func (Fuzz[A-Za-z0-9_]*)\(.*|\1 \2|' |
	sort |
	xargs -n 2 -P 2 "$0"
