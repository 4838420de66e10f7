package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// release is set by the linker for builds from a source tree without history:
// go build -ldflags "-X terrine/cli.release=1.0".
var release string

// encoders are the modules whose version decides over bytes of an image.
var encoders = [...]string{
	"github.com/klauspost/compress",
	"github.com/klauspost/pgzip",
}

type versionJSON struct {
	Version  string            `json:"version"`
	Commit   string            `json:"commit,omitempty"`
	Go       string            `json:"go"`
	Platform string            `json:"platform"`
	Encoders map[string]string `json:"encoders"`
}

func (a *app) versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Long: `Print the version of terrine, and with --json also the commit and the versions
of the compressors, on which the bytes of compressed blobs depend.`,
		Example: "  terrine version --json",
		Args:    arguments(0, 0),
		RunE:    func(*cobra.Command, []string) error { return a.printVersion(asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) printVersion(asJSON bool) error {
	v := versionOf(debug.ReadBuildInfo())
	if asJSON {
		return writeJSON(a.Stdout, v)
	}
	_, err := fmt.Fprintln(a.Stdout, "terrine", v.Version)
	return err
}

func versionOf(info *debug.BuildInfo, ok bool) versionJSON {
	v := versionJSON{
		Version:  "unknown",
		Go:       runtime.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Encoders: map[string]string{},
	}
	if ok {
		v.Version = strings.Trim(info.Main.Version, "()") // "(devel)"
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v.Commit = s.Value
			}
		}
		for _, dep := range info.Deps {
			for _, path := range encoders {
				if dep.Path == path {
					v.Encoders[path] = dep.Version
				}
			}
		}
	}
	if release != "" {
		v.Version = release
	}
	return v
}
