package builder

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"terrine/builder/rootfs"
	"terrine/store"
)

const (
	hashA = "00bgd045z0d4icpbc2yyz4gx48ak44la"
	hashB = "10bgd045z0d4icpbc2yyz4gx48ak44la"
	pathA = store.Path("/nix/store/" + hashA + "-a")
	pathB = store.Path("/nix/store/" + hashB + "-b-1.0")
)

func TestConfigPaths(t *testing.T) {
	for _, test := range []struct {
		name, config string
		want         []store.Path
	}{
		{"none", `{}`, nil},
		{"in a label, which is apart", `{"Labels":{"a":"` + string(pathA) + `"},"Cmd":["` + string(pathB) + `"]}`, []store.Path{pathB}},
		{"value, key and nested", `{"Cmd":["` + string(pathB) + `/bin/b"],"Volumes":{"` + string(pathA) + `":{}}}`, []store.Path{pathA, pathB}},
		{"twice, in a list", `{"Env":["PATH=` + string(pathA) + `/bin:` + string(pathB) + `/bin:` + string(pathA) + `"]}`, []store.Path{pathA, pathB}},
		{"behind a prefix that is its own", `{"Env":["X=/nix/store/nix/store/` + hashA + `-a"]}`, []store.Path{pathA}},
		{"escaped", `{"Cmd":["\/nix\/store\/` + hashA + `-a"]}`, []store.Path{pathA}},
		{"unknown field", `{"X":{"y":[1,null,true,"` + string(pathA) + `"]}}`, []store.Path{pathA}},
		{"no path", `{"Cmd":["/nix/store/","/nix/store/` + hashA + `","/nix/store/` + strings.ToUpper(hashA) + `-a","/nix/store/x-y"]}`, nil},
		{"name too long", `{"Cmd":["` + string(pathA) + strings.Repeat("a", 211) + `"]}`, nil},
		{"other store", `{"Cmd":["/gnu/store/` + hashA + `-a"]}`, nil},
	} {
		s := &Spec{Config: json.RawMessage(test.config)}
		got, labels := s.configPaths(store.DefaultDir)
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: configPaths = %q, want %q", test.name, got, test.want)
		}
		if want := strings.Contains(test.config, "Labels"); want != slices.Equal(labels, []store.Path{pathA}) {
			t.Errorf("%s: the labels have %q", test.name, labels)
		}
	}
}

// A path is found wherever in a file it stands, the borders of what is read at
// once included.
func TestMentionedPathsInFiles(t *testing.T) {
	const window = 256 << 10
	file := filepath.Join(t.TempDir(), "f")
	entry := []rootfs.Entry{{Name: "f", Kind: rootfs.File, Source: file}}
	for _, at := range []int{0, 1, window - 300, window - 257, window - 256, window - 255, window - 60, window - 44, window - 1, window, window + 1, 2*window - 256, 3 * window} {
		text := slices.Concat(bytes.Repeat([]byte("/nix/store-"), at/11+1)[:at], []byte("\x00"+string(pathA)+"\x00"))
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := mentionedPaths(context.Background(), store.DefaultDir, entry)
		if err != nil || !slices.Equal(got, []store.Path{pathA}) {
			t.Errorf("at %d: %q, %v", at, got, err)
		}
	}
}

func TestMentionedPaths(t *testing.T) {
	entries := []rootfs.Entry{
		{Name: "a", Kind: rootfs.Dir},
		{Name: "a/link", Kind: rootfs.Symlink, Link: string(pathB) + "/bin/b"},
		{Name: "a/text", Kind: rootfs.File, Text: []byte("exec " + string(pathA) + "/bin/a\n")},
	}
	got, err := mentionedPaths(context.Background(), store.DefaultDir, entries)
	if err != nil || !slices.Equal(got, []store.Path{pathA, pathB}) {
		t.Errorf("%q, %v", got, err)
	}
	entries = append(entries, rootfs.Entry{Name: "b", Kind: rootfs.File, Source: filepath.Join(t.TempDir(), "missing")})
	if _, err := mentionedPaths(context.Background(), store.DefaultDir, entries); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("a missing file: %v", err)
	}
}
