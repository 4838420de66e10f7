package planfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"terrine/store/fault"
)

const joint = `{"version": 1, "images": [{"spec": "a.json", "layers": [{"key": "` + key + `", "size": 7, "images": [0, 1], "paths": ["` + zlib + `"]}]},
	{"layers": [{"key": "` + key + `", "size": 7, "paths": ["` + zlib + `"]}, {"key": "` + key + `", "size": 8, "paths": ["` + app + `"]}]}], "union": 15}`

func TestOpenJoint(t *testing.T) {
	open := func(text string) ([]*Plan, error) {
		name := filepath.Join(t.TempDir(), "plan.json")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return OpenJoint(t.Context(), name, nil)
	}
	plans, err := open(" \n" + joint)
	if err != nil || len(plans) != 2 || len(plans[0].Layers) != 1 || len(plans[1].Groups()) != 2 || plans[1].Groups()[1][0] != app || plans[0].Kind != JSON {
		t.Errorf("a joint plan: %+v, %v", plans, err)
	}
	for text, kind := range map[string]string{plan: JSON, graph: Graph, registration: Graph} {
		if plans, err := open(text); err != nil || len(plans) != 1 || plans[0].Kind != kind {
			t.Errorf("%.40s: %+v, %v", text, plans, err)
		}
	}
	for text, want := range map[string]string{
		"":                               "nothing in it",
		`{"images": []}`:                 `field "layers" is missing`,
		`{"images": 1}`:                  `field "layers" is missing`,
		`{"images": [`:                   "parse plan: ",
		`{"version": 1, "images": [{}]}`: `images[0]: field "layers" is missing`,
		`{"images": [{}]}`:               "version 0, want 1",
		`{"images": [{"layers":[1]}]`:    "parse plan: ",
		strings.Replace(joint, `"paths": ["`+app+`"]`, `"paths": ["`+zlib+`"]`, 1): "images[1]: layers[1].paths[0]: " + zlib + " is in layers[0] too",
		"neither": "read ",
	} {
		if plans, err := open(text); err == nil || !strings.Contains(err.Error(), want) || fault.CodeOf(err) != fault.Refused {
			t.Errorf("%.40q: %v, %v; want %q", text, plans, err, want)
		}
	}
}

// FuzzReadJoint: no input panics, and each plan has its layers.
func FuzzReadJoint(f *testing.F) {
	for _, text := range []string{joint, plan, `{"version":1,"images":[{}]}`, `{"images":[{"layers":null}]}`, `{"version":1,"images":[{"layers":[]}]}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		plans, err := readJoint(t.Context(), strings.NewReader(text))
		if err != nil {
			if fault.CodeOf(err) != fault.Refused {
				t.Fatalf("class %d: %v", fault.CodeOf(err), err)
			}
			return
		}
		for _, p := range plans {
			p.Groups()
		}
	})
}
