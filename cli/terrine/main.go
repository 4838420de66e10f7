// Terrine builds layered container images from Nix closures.
package main

import (
	"context"
	"os"

	"terrine/cli"
)

func main() {
	ctx, stop := cli.WithSignals(context.Background())
	code := cli.Main(ctx, cli.OSEnv(ctx))
	stop()
	os.Exit(code)
}
