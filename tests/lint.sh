#!/bin/sh
# Formats, vets and checks the module, for this machine, for darwin and for 32 bits.
set -eu
cd "$(dirname "$0")/.."

unformatted=$(gofmt -l $(go list -f '{{.Dir}}' ./...))
if [ -n "$unformatted" ]; then
	echo "run gofmt on:" >&2
	echo "$unformatted" >&2
	exit 1
fi

go vet ./...
GOOS=darwin CGO_ENABLED=0 go build ./...
GOOS=darwin CGO_ENABLED=0 go vet ./...
GOOS=linux GOARCH=386 CGO_ENABLED=0 go build ./... # where an int has 32 bits

# Plans are the same on every machine, so nothing in there may be a product that is
# fused with a sum where the processor can do that: float64(…) around it prevents it.
if GOARCH=arm64 go build -gcflags=terrine/layering=-S ./layering 2>&1 | grep -E '[[:space:]]FN?M(ADD|SUB)[SD][[:space:]]'; then
	echo "layering: fused arithmetic; see eventWeight" >&2
	exit 1
fi

bin=$(go env GOBIN)
staticcheck=${bin:-$(go env GOPATH)/bin}/staticcheck
if [ -x "$staticcheck" ]; then
	"$staticcheck" -checks inherit,ST1000 ./... # ST1000: each package says what it is for
elif [ "${CI:-}" = true ]; then
	echo "no $staticcheck" >&2
	exit 1
else
	echo 'skipped: staticcheck is not installed'
fi
echo 'lint: ok'
