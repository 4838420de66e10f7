package planfile

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"terrine/store"
)

// wholeDocument is a plan in which no field is empty.
func wholeDocument(t testing.TB) *Document {
	t.Helper()
	p, err := read(t.Context(), strings.NewReader(plan))
	if err != nil {
		t.Fatal(err)
	}
	graph, err := FormatGraph(p.Graph)
	if err != nil {
		t.Fatal(err)
	}
	return &Document{
		Layers: []DocumentLayer{
			{Key: key, Name: "a <pin>", Size: 7, Common: "c", Probability: 0.5, Pull: 3, Share: 0.25, Paths: []store.Path{zlib},
				Causes: []DocumentCause{{Package: "zlib", Rate: 0.1, Share: 1}}},
			{Key: key, Size: 8, Causes: []DocumentCause{}, Paths: []store.Path{app}},
		},
		Root:     &DocumentRoot{Key: key},
		Expected: DocumentCost{Pull: 1, Chain: 2, WithoutRates: &DocumentCost{Pull: 3, Chain: 4}},
		Compared: &Comparison{Layers: []string{"kept", "new"}, Root: "new", Gone: []GoneLayer{{Size: 1, Paths: []store.Path{zlib}}}, Kept: 7, Pull: 8, Chain: 8},
		Graph:    graph,
	}
}

// TestDocumentIsReadAsItWasWritten: by this package, and by encoding/json.
func TestDocumentIsReadAsItWasWritten(t *testing.T) {
	d := wholeDocument(t)
	var text bytes.Buffer
	if err := d.Write(&text); err != nil {
		t.Fatal(err)
	}
	p, err := read(t.Context(), bytes.NewReader(text.Bytes()))
	if err != nil {
		t.Fatalf("%v\n%s", err, text.Bytes())
	}
	if p.Kind != JSON || p.RootKey != key || !p.References || len(p.Graph) != 2 || p.Graph[1].References[0] != zlib || p.Graph[0].NARSize != 7 {
		t.Errorf("read %+v", p)
	}
	want := []Layer{{Name: "a <pin>", Key: key, Size: 7, Paths: []store.Path{zlib}}, {Key: key, Size: 8, Paths: []store.Path{app}}}
	if !reflect.DeepEqual(p.Layers, want) {
		t.Errorf("layers %+v", p.Layers)
	}
	var again Document
	if err := json.Unmarshal(text.Bytes(), &again); err != nil {
		t.Fatal(err)
	}
	var second bytes.Buffer
	if err := again.Write(&second); err != nil || !bytes.Equal(second.Bytes(), text.Bytes()) {
		t.Errorf("%v, written again:\n%s\nwant\n%s", err, second.Bytes(), text.Bytes())
	}
	if !strings.Contains(text.String(), `"a <pin>"`) || !strings.HasPrefix(text.String(), "{\n  \"version\": 1,\n") {
		t.Errorf("written:\n%s", text.Bytes())
	}
}

// TestJointIsReadAsItWasWritten: each image of it, and in a file.
func TestJointIsReadAsItWasWritten(t *testing.T) {
	j := &Joint{Images: []JointImage{
		{Spec: "a.json", Name: "a", Root: &DocumentRoot{Key: key}, Layers: []JointLayer{{Key: key, Size: 7, Images: []int{0, 1}, Paths: []store.Path{zlib}}}},
		{Spec: "b.json", Name: "b", Layers: []JointLayer{{Key: key, Size: 7, Images: []int{0, 1}, Paths: []store.Path{zlib}}, {Key: key, Size: 8, Images: []int{1}, Paths: []store.Path{app}}}},
	}, Union: 15, Joint: JointCost{Stored: 15, Pulled: 1}, Alone: JointCost{Stored: 22, Pulled: 2}}
	var text bytes.Buffer
	if err := j.Write(&text); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "joint.json")
	if err := os.WriteFile(name, text.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	plans, err := OpenJoint(t.Context(), name, nil)
	if err != nil || len(plans) != 2 {
		t.Fatalf("read %+v, %v", plans, err)
	}
	if plans[0].RootKey != key || plans[1].RootKey != "" || len(plans[0].Layers) != 1 || len(plans[1].Layers) != 2 || plans[1].Layers[1].Paths[0] != app {
		t.Errorf("read %+v, %+v", plans[0], plans[1])
	}
	if p := plans[1]; p.Kind != JSON || p.References || len(p.Graph) != 2 || p.Layers[1].Size != 8 || p.Layers[1].Key != key {
		t.Errorf("read %+v", p)
	}
}

// FuzzDocument: what is read and written again is read as the same.
func FuzzDocument(f *testing.F) {
	var whole bytes.Buffer
	if err := wholeDocument(f).Write(&whole); err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{plan, whole.String(), `{"version":1,"layers":[]}`, `{"version":1,"layers":[],"graph":[]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		first, err := read(t.Context(), bytes.NewReader(data))
		if err != nil || first.Kind != JSON {
			return
		}
		var d Document
		if err := json.Unmarshal(data, &d); err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		if err := d.Write(&text); err != nil {
			t.Fatal(err)
		}
		second, err := read(t.Context(), &text)
		if err != nil || !reflect.DeepEqual(first, second) {
			t.Errorf("read %+v, and again %+v, %v", first, second, err)
		}
	})
}
