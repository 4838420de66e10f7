package cli

import (
	"runtime/debug"
	"testing"
)

func TestVersionOf(t *testing.T) {
	info := &debug.BuildInfo{
		Main:     debug.Module{Path: "terrine", Version: "v1.2.3"},
		Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.time", Value: "now"}},
		Deps:     []*debug.Module{{Path: "github.com/klauspost/pgzip", Version: "v1.3.0"}, {Path: "example.org/x", Version: "v9"}},
	}
	v := versionOf(info, true)
	if v.Version != "v1.2.3" || v.Commit != "abc" || len(v.Encoders) != 1 || v.Encoders["github.com/klauspost/pgzip"] != "v1.3.0" {
		t.Errorf("versionOf = %+v", v)
	}
	info.Main.Version = "(devel)"
	if v := versionOf(info, true); v.Version != "devel" {
		t.Errorf("version of a build from the source tree is %q", v.Version)
	}
	if v := versionOf(nil, false); v.Version != "unknown" || v.Go == "" || v.Platform == "" {
		t.Errorf("without build information: %+v", v)
	}
}
