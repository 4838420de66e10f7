// Terrine builds layered container images from Nix closures.
package main

import (
	"context"
	"os"
	"runtime/debug"

	"terrine/cli"
)

func main() {
	// The heap is small, and most of it is buffers: to collect half as often takes a
	// tenth off a build that finds all in the cache, and no memory to speak of.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200)
	}
	ctx, stop := cli.WithSignals(context.Background())
	code := cli.Main(ctx, cli.OSEnv(ctx))
	stop()
	os.Exit(code)
}
