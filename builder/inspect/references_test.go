package inspect

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"terrine/store"
	"terrine/store/fault"
)

func TestReferences(t *testing.T) {
	const (
		hashC = "22bgd045z0d4icpbc2yyz4gx48ak44la"
		hashD = "33bgd045z0d4icpbc2yyz4gx48ak44la"
		pathC = "/nix/store/" + hashC + "-c"
		pathD = "/nix/store/" + hashD + "-d"
	)
	bottom := makeTar(t, file{name: "nix/store/" + hashA + "-a/"}, file{name: "nix/store/" + hashA + "-a/x", text: "nothing, or of " + hashC[:31]},
		file{name: "nix/store/" + hashA + "-a/y", text: hashC[31:] + " that begins in another file"})
	top := makeTar(t,
		file{name: "etc/motd", text: hashD},
		file{name: "nix/store/" + hashB + "-b/"},
		file{name: "nix/store/" + hashB + "-b/bin", link: "/nix/store/" + hashA + "-a/bin"},
		file{name: "nix/store/" + hashC + "-c/"},
		file{name: "nix/store/" + hashC + "-c/" + hashB, text: "x"},
		file{name: "nix/store/" + hashC + "-c/own", text: "in " + pathC},
		file{name: "nix/store/" + hashB + "-b/later", text: "and " + pathD + "/lib"},
		file{name: "nix/store/" + hashD + "-d", text: "stranger: 44bgd045z0d4icpbc2yyz4gx48ak44la-e, and " + hashA + "-a"})
	archive := makeTar(t, file{name: "a.tar", text: string(bottom)}, file{name: "b.tar.gz", text: string(gz(t, top))})
	got, err := References(t.Context(), bytes.NewReader(archive), []store.Path{pathA, pathB, pathC, pathD})
	if err != nil {
		t.Fatal(err)
	}
	want := map[store.Path][]store.Path{pathB: {pathA, pathD}, pathC: {pathB, pathC}, pathD: {pathA}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("references (-want +got):\n%s", diff)
	}
	if _, err := References(t.Context(), bytes.NewReader(archive[:4700]), nil); fault.CodeOf(err) != fault.Refused {
		t.Errorf("a cut archive: %v", err)
	}
}
