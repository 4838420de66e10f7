package planfile

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"terrine/store"
	"terrine/store/fault"
	"terrine/store/input"
)

const (
	zlib  = "/nix/store/00000000000000000000000000000000-zlib-1.2"
	app   = "/nix/store/11111111111111111111111111111111-app"
	hash  = "sha256:0z40fwb3ndwv3276sxnmkgzs8lm8lgbnpwsrll8dlmjm62k80hjh"
	key   = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
	graph = `[{"path": "` + zlib + `", "narHash": "` + hash + `", "narSize": 7, "references": []},
		{"path": "` + app + `", "narHash": "` + hash + `", "narSize": 8, "references": ["` + zlib + `"]}]`
	plan = `{"version": 1, "layers": [{"key": "` + key + `", "name": "base", "size": 7, "paths": ["` + zlib + `"]},
		{"key": "` + key + `", "size": 8, "paths": ["` + app + `"], "later": 1}],
		"root": {"key": "` + key + `"}, "graph": ` + graph + `}`
	registration = zlib + "\n" + hash + "\n7\n\n0\n"
)

func TestReadPlan(t *testing.T) {
	p, err := read(t.Context(), strings.NewReader("\n "+plan))
	if err != nil {
		t.Fatal(err)
	}
	if p.Kind != JSON || len(p.Layers) != 2 || len(p.Graph) != 2 || !p.References || p.RootKey != key {
		t.Fatalf("read %+v", p)
	}
	if l := p.Layers[0]; l.Name != "base" || l.Key != key || l.Size != 7 || len(l.Paths) != 1 || l.Paths[0] != zlib {
		t.Errorf("the first layer is %+v", l)
	}
	if groups := p.Groups(); len(groups) != 2 || groups[1][0] != app {
		t.Errorf("groups are %v", groups)
	}
	bare, err := read(t.Context(), strings.NewReader(strings.Replace(plan, `, "graph": `+graph, "", 1)))
	if err != nil || len(bare.Graph) != 2 || bare.References || bare.Graph[0].Path != zlib {
		t.Errorf("without a graph: read %+v, %v", bare, err)
	}
	if info := p.Graph[1]; info.Path != app || info.NARSize != 8 || len(info.References) != 1 || info.References[0] != store.Path(zlib) {
		t.Errorf("the graph has %+v", info)
	}
}

func TestReadGraph(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"graph.json": graph, "attrs.json": `{"name": "x", "closure": ` + graph + `}`, "registration": registration,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, paths := range map[string]int{"graph.json": 2, "attrs.json#closure": 2, "registration": 1, "": 1} {
		p, err := Open(t.Context(), filepath.Join(dir, name), nil)
		if err != nil || p.Kind != Graph || p.Layers != nil || len(p.Graph) != paths {
			t.Errorf("%s: read %+v, %v", name, p, err)
		}
	}
}

// TestWatch: whoever watches is given each file, and all of it that is read.
func TestWatch(t *testing.T) {
	name := filepath.Join(t.TempDir(), "plan.json")
	if err := os.WriteFile(name, []byte(plan), 0o600); err != nil {
		t.Fatal(err)
	}
	var seen strings.Builder
	watch := func(f *input.File) io.Reader {
		fmt.Fprintf(&seen, "%s:", f.Name())
		return io.TeeReader(f, &seen)
	}
	if _, err := Open(t.Context(), name, watch); err != nil || seen.String() != name+":"+plan {
		t.Errorf("Open: saw %q, %v", &seen, err)
	}
	seen.Reset()
	if _, err := OpenJoint(t.Context(), name, watch); err != nil || seen.String() != name+":"+plan {
		t.Errorf("OpenJoint: saw %q, %v", &seen, err)
	}
	seen.Reset()
	if err := new(Plan).FindReferences(t.Context(), name, watch); err == nil || seen.String() != name+":"+plan {
		t.Errorf("FindReferences: saw %q, %v", &seen, err)
	}
}

func TestReadRefuses(t *testing.T) {
	change := func(old, by string) string {
		if !strings.Contains(plan, old) {
			t.Fatalf("%q is not in the plan", old)
		}
		return strings.Replace(plan, old, by, 1)
	}
	for want, text := range map[string]string{
		"nothing in it":                    " \n",
		"version 2, want 1":                change(`"version": 1`, `"version": 2`),
		"version 0, want 1":                change(`"version": 1, `, ""),
		"read archive":                     "neither",
		`field "layers" is missing`:        `{"a": []}`,
		"unexpected end of JSON input":     plan[:len(plan)-1],
		"after top-level value":            plan + "x",
		`layers[0]: key "sha256:1"`:        change(key, "sha256:1"),
		"root: key":                        change(`"root": {"key": "`+key, `"root": {"key": "`),
		"layers[0].paths[0]: parse":        change(`["`+zlib+`"]}`, `["zlib"]}`),
		"is in layers[0] too":              change(`["`+app, `["`+zlib),
		"1 paths of -7 bytes are no layer": change(`"size": 7`, `"size": -7`),
		"0 paths of 7 bytes are no layer":  change(`"paths": ["`+zlib+`"]`, `"paths": []`),
		"is not in graph":                  change(`["`+zlib+`"]}`, `["`+strings.Replace(zlib, "0000-", "0001-", 1)+`"]}`),
		"not a closure":                    change(`["`+zlib+`"]}]`, `["`+strings.Replace(zlib, "0000-", "0001-", 1)+`"]}]`),
		"line 3: want an array of paths":   change(graph, "7"),
		`line 4: field "narSize": `:        change(`"narSize": 8`, `"narSize": "8"`),
		"want a string":                    "[{\"path\": 7}]",
	} {
		p, err := read(t.Context(), strings.NewReader(text))
		if err == nil || !strings.Contains(err.Error(), want) || fault.CodeOf(err) != fault.Refused {
			t.Errorf("want an error with %q, got %v (%d), %+v", want, err, fault.CodeOf(err), p)
		}
	}
	if _, err := read(t.Context(), strings.NewReader(`{"images": []}`)); !strings.Contains(fault.HintOf(err), "several images") {
		t.Errorf("a plan of several images: hint %q", fault.HintOf(err))
	}
	none := filepath.Join(t.TempDir(), "none")
	_, err := Open(t.Context(), none, nil)
	_, errJoint := OpenJoint(t.Context(), none, nil)
	if !os.IsNotExist(err) || !os.IsNotExist(errJoint) {
		t.Errorf("a file that is not there: %v, %v", err, errJoint)
	}
	broken := iotest.ErrReader(os.ErrPermission)
	_, err = read(t.Context(), broken)
	_, errJoint = readJoint(t.Context(), broken)
	if !os.IsPermission(err) || !os.IsPermission(errJoint) || fault.CodeOf(err) == fault.Refused || fault.CodeOf(errJoint) == fault.Refused {
		t.Errorf("a file that cannot be read: %v, %v", err, errJoint)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := read(ended, strings.NewReader(plan)); err == nil {
		t.Error("read after the end of the context")
	}
}

func FuzzRead(f *testing.F) {
	for _, seed := range []string{plan, graph, registration, "{}", `{"version":1,"layers":[]}`, `{"version":1,"layers":null,"graph":null}`, "[", "/"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := read(t.Context(), bytes.NewReader(data))
		if err != nil {
			return
		}
		for _, l := range p.Layers {
			if len(l.Paths) == 0 || l.Size < 0 {
				t.Errorf("a layer %+v", l)
			}
		}
		if p.Kind == Graph && len(p.Graph) == 0 {
			t.Error("a references graph without paths")
		}
	})
}
