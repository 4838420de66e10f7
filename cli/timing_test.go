package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"terrine/builder"
	"terrine/tests/need"
)

func timingSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	f, err := os.Open("../docs/timing.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	value, err := jsonschema.UnmarshalJSON(f)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("urn:timing", value); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("urn:timing")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// TestTiming builds and probes one image in turn, and reads what --timing writes:
// it has the form that the schema says, its phases follow each other and fill the
// time, and its lookups are those of a cache in that state (S35).
func TestTiming(t *testing.T) {
	schema, dir := timingSchema(t), need.TempDir(t)
	spec, tree, file := filepath.Join(dir, "image.json"), filepath.Join(dir, "app"), filepath.Join(dir, "timing.json")
	text := strings.Repeat("some text ", 5000)
	if err := os.Mkdir(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{spec: `{"name":"app","contents":[{"path":"./app"}]}`, filepath.Join(tree, "file"): text} {
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// What a map of lookups prints.
	const none = "map[]"
	for _, c := range []struct {
		line   string
		code   int
		phases string
		cache  string
	}{
		{"probe", 3, "spec closure plan lookup", "map[layer:{0 2}]"},
		{"build -o no.tar --no-cache", 0, "spec closure plan lookup scan pack sync", none},
		{"build -o x.tar.gz", 0, "spec closure plan lookup scan compress sync remember", "map[layer:{0 2} parts:{0 1} scaffold:{0 1}]"},
		{"build -o x.tar.gz", 0, "spec closure plan lookup", "map[layer:{2 0} output:{1 0}]"},
		{"build -o x.tar.gz --force", 0, "spec closure plan lookup scan compress sync remember", "map[layer:{2 0} parts:{1 0} scaffold:{1 0}]"},
		{"build -o x.tar", 0, "spec closure plan lookup scan pack sync remember", "map[layer:{2 0} output:{0 1} scaffold:{1 0}]"},
		{"build -o one.tar.gz --gzip-members one", 0, "spec closure plan lookup scan hash pack sync remember", "map[layer:{2 0} output:{0 1} scaffold:{1 0}]"},
		{"build -o - --layer-compression zstd", 0, "spec closure plan lookup scan compress to measure compress remember", "map[layer:{0 2} parts:{1 1} scaffold:{1 0}]"},
		{"probe", 0, "spec closure plan lookup", "map[layer:{2 0}]"},
		{"probe --layer-compression gzip", 3, "spec closure plan lookup", "map[layer:{0 2}]"},
	} {
		words := strings.Fields(c.line)
		for i, word := range words {
			if strings.HasSuffix(word, ".tar") || strings.HasSuffix(word, ".gz") {
				words[i] = filepath.Join(dir, word)
			}
		}
		var said bytes.Buffer
		now := time.Unix(0, 0)
		env := &Env{
			Args:  append([]string{words[0], spec, "-j", "3", "--timing", file}, words[1:]...),
			Stdin: strings.NewReader(""), Stdout: &bytes.Buffer{}, Stderr: &said,
			Getenv: func(name string) string {
				return map[string]string{storeVar: filepath.Join(dir, "store"), cacheVar: filepath.Join(dir, "cache")}[name]
			},
			Now: func() time.Time { now = now.Add(time.Second); return now },
		}
		if words[0] == "build" {
			env.Args = append(env.Args, "--quiet")
		}
		if code := Main(t.Context(), env); code != c.code {
			t.Fatalf("%s: exit code %d, want %d: %s", c.line, code, c.code, said.String())
		}
		j := readTiming(t, schema, file)
		var names []string
		total := 0.0
		for _, p := range j.Phases {
			names = append(names, p.Name)
			total += p.Seconds
			about, limit := slices.Contains(strings.Fields("closure pack compress measure sync"), p.Name[strings.LastIndex(p.Name, " ")+1:]), int64(len(text))/100
			if p.Name == "hash" {
				limit *= 5 // the root layer
			}
			if about != (p.Bytes > limit) {
				t.Errorf("%s: %s handled %d bytes", c.line, p.Name, p.Bytes)
			}
		}
		if got := strings.Join(names, " "); got != c.phases {
			t.Errorf("%s: phases %q, want %q", c.line, got, c.phases)
		}
		if total > j.Seconds || total < j.Seconds-5 || j.Command != words[0] || j.Workers != 3 {
			t.Errorf("%s: the phases take %v s of %v; %s by %d workers", c.line, total, j.Seconds, j.Command, j.Workers)
		}
		if got := fmt.Sprint(j.Cache); got != c.cache {
			t.Errorf("%s: lookups %s, want %s", c.line, got, c.cache)
		}
	}
}

func readTiming(t *testing.T, schema *jsonschema.Schema, file string) (j timingJSON) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(value); err != nil {
		t.Errorf("%v in %s", err, text)
	}
	if err := json.Unmarshal(text, &j); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	return j
}

// TestTimingSchemaRefuses: the schema would see a document that is none.
func TestTimingSchemaRefuses(t *testing.T) {
	schema := timingSchema(t)
	good := timingJSON{Version: 1, Command: "build", Workers: 1, Phases: []builder.Phase{{Name: "scan"}}, Cache: map[string]builder.Lookups{"layer": {}}}
	for name, change := range map[string]func(map[string]any){
		"nothing":        func(map[string]any) {},
		"version":        func(m map[string]any) { m["version"] = 2 },
		"no cache field": func(m map[string]any) { delete(m, "cache") },
		"unknown phase":  func(m map[string]any) { m["phases"].([]any)[0].(map[string]any)["name"] = "x" },
		"unknown lookup": func(m map[string]any) { m["cache"].(map[string]any)["x"] = nil },
		"another field":  func(m map[string]any) { m["x"] = 1 },
	} {
		text, err := json.Marshal(good)
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]any
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		m = maps.Clone(m)
		change(m)
		if err := schema.Validate(m); (err == nil) != (name == "nothing") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
