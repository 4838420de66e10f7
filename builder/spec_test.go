package builder

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"terrine/builder/image"
	"terrine/builder/rootfs"
	"terrine/layering"
	"terrine/store/fault"
)

func mustParse(t *testing.T, spec, filename string) *Spec {
	t.Helper()
	s, err := ParseSpec([]byte(spec), filename)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSpecDefaults(t *testing.T) {
	got := mustParse(t, `{"name":"Hello"}`, "image.json")
	want := &Spec{
		Name: "hello", Config: []byte("{}"), Platform: image.Platform{OS: "linux"},
		Uname: "root", Gname: "root", MaxLayers: 100, IncludeStorePaths: true, Conflicts: "warn", Join: "contents",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ParseSpec (-want +got):\n%s", diff)
	}
}

func TestSpecValues(t *testing.T) {
	const config = `{ "Cmd" : ["a<b\u003c"], "X": {"b":1,  "a":null} }`
	got := mustParse(t, `{
		"name": "ghcr.io/Me/App", "tag": "1",
		"contents": ["`+string(pathA)+`", {"path": "../site"}, {"path": "/srv/x y", "name": "x"}],
		"config": `+config+`,
		"labels": {"a": "b"}, "annotations": {"c": "d"},
		"architecture": "arm", "os": "linux", "variant": "v7",
		"created": "2024-01-31T13:00:00+01:00", "mtime": 5,
		"uid": 1, "gid": 2, "uname": "u", "gname": "g",
		"maxLayers": 5e0, "includeStorePaths": false,
		"layering": {"strategy": "size-first", "minSize": 7, "chainWeight": 25e-2, "rates": "../rates.json", "pins": [{"glob": "*-x", "layer": "l"}],
			"groups": [["a", "b*"], ["c"]], "pipeline": [["split_every" , 3]]},
		"files": {"/z/": {"directory": true, "mode": "1777"}, "b": {"source": "b.txt", "owner": "3:4"}, "a": {"text": ""}, "c": {"symlink": "x", "uid": 5}},
		"perms": {"z/y": {"uid": 3}, "**": {"uid": 1}, "/z/*": {"mode": "0640", "uid": 2}},
		"fakeNss": {"extraGroupLines": ["w:x:1:"]}, "tmp": true,
		"includeNixDB": true, "rootTree": "`+string(pathB)+`",
		"caCertificates": "`+string(pathA)+`", "binSh": {"path": "sh"},
		"conflicts": "error", "join": "closure"
	}`, "dir/sub/image.json")
	attributes := func(mode uint32, ids ...int) (a rootfs.Attributes) {
		if mode != 0 {
			a.Mode = &mode
		}
		if len(ids) > 0 {
			a.UID = &ids[0]
		}
		if len(ids) > 1 {
			a.GID = &ids[1]
		}
		return a
	}
	want := &Spec{
		Name: "ghcr.io/me/app", Tag: "1",
		Contents:    []Content{{StorePath: pathA}, {Path: "dir/site", Name: "site"}, {Path: "/srv/x y", Name: "x"}},
		Config:      []byte(config),
		Warnings:    []string{"parse spec dir/sub/image.json:4:38: config.X: no engine knows this field"},
		Labels:      map[string]string{"a": "b"},
		Annotations: map[string]string{"c": "d"},
		Platform:    image.Platform{OS: "linux", Architecture: "arm", Variant: "v7"},
		Created:     When{Set: true, Time: time.Date(2024, 1, 31, 12, 0, 0, 0, time.UTC)},
		MTime:       When{Set: true, Time: time.Unix(5, 0).UTC()},
		UID:         1, GID: 2, Uname: "u", Gname: "g",
		MaxLayers: 5,
		Layering:  Layering{Strategy: "size-first", MinSize: 7, ChainWeight: 0.25, Rates: "dir/rates.json", Groups: [][]string{{"a", "b*"}, {"c"}}, Pipeline: []byte(`[["split_every" , 3]]`), Pins: []layering.Pin{{Glob: "*-x", Layer: "l"}}},
		Files: []rootfs.FileSpec{
			{Path: "a", Text: []byte{}},
			{Path: "b", Source: "dir/sub/b.txt", Attributes: attributes(0, 3, 4)},
			{Path: "c", Link: "x", Attributes: attributes(0, 5)},
			{Path: "z", Directory: true, Attributes: attributes(0o1777)},
		},
		Perms: []rootfs.Perm{
			{Glob: "**", Attributes: attributes(0, 1)},
			{Glob: "z/*", Attributes: attributes(0o640, 2)},
			{Glob: "z/y", Attributes: attributes(0, 3)},
		},
		FakeNss: &rootfs.FakeNss{ExtraGroupLines: []string{"w:x:1:"}}, Tmp: true,
		IncludeNixDB: true, RootTree: pathB,
		CACertificates: &Content{StorePath: pathA},
		BinSh:          &Content{Path: "dir/sub/sh", Name: "sh"},
		Conflicts:      "error",
		Join:           "closure",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ParseSpec (-want +got):\n%s", diff)
	}
}

// TestSetsOfTheConfigAreRespelt: the config is kept as it is given, but for sets, which
// are kept as OCI has them.
func TestSetsOfTheConfigAreRespelt(t *testing.T) {
	const (
		given = `{ "ExposedPorts": { "80/tcp" : null, "53/UDP": {}, "9/sctp": {} }, "X": null, "Volumes": {"/dätä": null, "/b": {"y": null}}, "Cmd": null }`
		want  = `{ "ExposedPorts": { "80/tcp" : {}, "53/udp":{}, "9/sctp": {} }, "X": null, "Volumes": {"/dätä": {}, "/b": {"y": null}}, "Cmd": null }`
	)
	for _, text := range []string{given, want} {
		got, err := ParseSpec([]byte(`{"config":`+text+`,"name":"x"}`), "-")
		if err != nil || string(got.Config) != want {
			t.Errorf("ParseSpec has, with %v, the config\n%s, want\n%s", err, got.Config, want)
		}
	}
}

// Paths in a spec from standard input are relative to the current directory.
func TestSpecFromStandardInput(t *testing.T) {
	for _, filename := range []string{"", "-", "image.json"} {
		s := mustParse(t, `{"name":"x","contents":[{"path":"./site"}]}`, filename)
		if got := s.Contents[0].Path; got != "site" {
			t.Errorf("from %q: path %q, want site", filename, got)
		}
	}
	if _, err := ParseSpec([]byte("{}"), ""); err == nil || !strings.Contains(err.Error(), "parse spec -:1:1: ") {
		t.Errorf("error %v does not name standard input", err)
	}
}

// TestContentThatIsNoStorePath: the error says what may have been meant.
func TestContentThatIsNoStorePath(t *testing.T) {
	cases := []struct{ content, want string }{
		{string(pathA) + "/share/doc", `: want a whole store path, and "/share/doc" is below ` + string(pathA) + `: "files" takes files and directories of one`},
		{"./site", `; a directory on disk is written {"path": "./site"}`},
		{"site", `; a directory on disk is written {"path": "site"}`},
		{"/srv/site", `; a directory on disk is written {"path": "/srv/site"}`},
		{string(pathA) + "/", ": want a store path, which ends in no slash: " + string(pathA)},
		{"/nix/store", `: too short: want 32 characters of digest, a dash and a name`},
		{"", `: want an absolute path`},
		{"/nix/store/x-a", `: too short: want 32 characters of digest, a dash and a name`},
	}
	for _, c := range cases {
		_, err := ParseSpec([]byte(`{"name": "a", "contents": ["`+c.content+`"]}`), "")
		if err == nil || !strings.HasSuffix(err.Error(), c.want) || fault.CodeOf(err) != fault.Refused {
			t.Errorf("%s: got %v, want an error that ends in %q", c.content, err, c.want)
		}
	}
}

// The order of perms is that of how specific they are, whatever the order in
// the file: Nix sorts keys, other tools do not.
func TestPermsOrder(t *testing.T) {
	want := []string{"**", "a/**", "*", "a/*", "a/[bcd]", "a/b?", "a/b", "a/bc"}
	for _, keys := range [][]int{{0, 1, 2, 3, 4, 5, 6, 7}, {7, 6, 5, 4, 3, 2, 1, 0}, {3, 1, 4, 0, 5, 7, 2, 6}} {
		var members []string
		for _, k := range keys {
			members = append(members, `"`+want[k]+`":{"uid":1}`)
		}
		s := mustParse(t, withName(`"perms":{`+strings.Join(members, ",")+`}`), "image.json")
		var got []string
		for _, p := range s.Perms {
			got = append(got, p.Glob)
		}
		// "a/b?" and "a/b" have as many literals: bytes decide.
		if diff := cmp.Diff([]string{"**", "a/**", "*", "a/*", "a/[bcd]", "a/b", "a/b?", "a/bc"}, got); diff != "" {
			t.Errorf("order of perms (-want +got):\n%s", diff)
		}
	}
}

func TestSet(t *testing.T) {
	s := mustParse(t, `{"name":"x","created":"now"}`, "image.json")
	for _, f := range [][2]string{
		{"name", "Y/z"}, {"tag", "2"}, {"architecture", "arm64"}, {"os", "freebsd"}, {"variant", "v8"}, {"created", "@0"}, {"mtime", "2"},
		{"uid", "3"}, {"gid", "4"}, {"uname", "u"}, {"gname", "g"}, {"maxLayers", "5"}, {"includeStorePaths", "false"}, {"tmp", "true"},
		{"conflicts", "error"}, {"join", "closure"}, {"layering.strategy", "popularity"}, {"layering.minSize", "6"}, {"layering.chainWeight", "2.5"}, {"layering.rates", "r.json"},
	} {
		if err := s.Set(f[0], f[1]); err != nil {
			t.Error(err)
		}
	}
	want := &Spec{
		Name: "y/z", Tag: "2", Config: []byte("{}"), Platform: image.Platform{OS: "freebsd", Architecture: "arm64", Variant: "v8"},
		Created: When{Set: true, Time: time.Unix(0, 0).UTC()}, MTime: When{Set: true, Time: time.Unix(2, 0).UTC()},
		UID: 3, GID: 4, Uname: "u", Gname: "g", MaxLayers: 5, Tmp: true, Conflicts: "error", Join: "closure",
		Layering: Layering{Strategy: "popularity", MinSize: 6, ChainWeight: 2.5, Rates: "r.json"},
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("after Set (-want +got):\n%s", diff)
	}
	for _, f := range []struct{ field, value, want string }{
		{"name", "a b", "image name"}, {"maxLayers", "1", "1 is not in the range from 2 to 125"}, {"maxLayers", "many", `"many" is not a whole number`},
		{"tmp", "maybe", "neither true nor false"}, {"layering.chainWeight", "NaN", "NaN is not a number from 0 to 1000"}, {"layering.chainWeight", "x", "not a number"}, {"created", "soon", "no instant"}, {"layering.strategy", "sizefirst", `did you mean "size-first"?`}, {"layering.rates", "", "the path is empty"},
		{"contents", "x", "no such field"}, {"", "1", "no such field"}, {"uid", "-1", "not in the range"},
	} {
		err := s.Set(f.field, f.value)
		if err == nil || !strings.Contains(err.Error(), f.want) || fault.CodeOf(err) != fault.Usage {
			t.Errorf("Set(%q, %q) = %v, want %q", f.field, f.value, err, f.want)
		}
	}
}

// TestAddChecks holds what is added to a spec to what can stand in one.
func TestAddChecks(t *testing.T) {
	s := mustParse(t, `{"name":"x","labels":{"a":"1"},"layering":{"pins":[{"glob":"b*","layer":"b"}]}}`, "image.json")
	for name, add := range map[string]func(a, b string) error{"AddLabel": s.AddLabel, "AddAnnotation": s.AddAnnotation, "AddPin": s.AddPin} {
		if err := add("a", "2"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, bad := range [][2]string{{"", "x"}, {"a", "\x1b"}, {"a", "\xff"}, {"[\x00", "x"}} {
			if err := add(bad[0], bad[1]); fault.CodeOf(err) != fault.Usage {
				t.Errorf("%s(%q, %q) = %v", name, bad[0], bad[1], err)
			}
		}
	}
	if s.Labels["a"] != "2" || len(s.Labels) != 1 || s.Annotations["a"] != "2" || len(s.Annotations) != 1 {
		t.Errorf("labels %v, annotations %v", s.Labels, s.Annotations)
	}
	if want := []layering.Pin{{Glob: "b*", Layer: "b"}, {Glob: "a", Layer: "2"}}; !slices.Equal(s.Layering.Pins, want) {
		t.Errorf("pins %v, want %v", s.Layering.Pins, want)
	}
}

func TestCreatedAt(t *testing.T) {
	now := func() time.Time { return time.Date(2025, 6, 1, 12, 30, 15, 99, time.FixedZone("", 3600)) }
	for _, test := range []struct{ name, spec, epoch, want string }{
		{"nothing", `{"name":"x"}`, "", "1970-01-01T00:00:01Z"},
		{"SOURCE_DATE_EPOCH", `{"name":"x"}`, "86400", "1970-01-02T00:00:00Z"},
		{"SOURCE_DATE_EPOCH 0", `{"name":"x"}`, "0", "1970-01-01T00:00:00Z"},
		{"spec before SOURCE_DATE_EPOCH", `{"name":"x","created":0}`, "86400", "1970-01-01T00:00:00Z"},
		{"now", `{"name":"x","created":"now"}`, "86400", "2025-06-01T11:30:15Z"},
	} {
		got, err := mustParse(t, test.spec, "image.json").createdAt(test.epoch, now)
		if err != nil || got.Format(time.RFC3339Nano) != test.want {
			t.Errorf("%s: %s, %v; want %s", test.name, got.Format(time.RFC3339Nano), err, test.want)
		}
	}
	for _, epoch := range []string{"x", "-1", "1.5", "+1", "99999999999999999999", "253402300800", "@1"} {
		s := mustParse(t, `{"name":"x"}`, "image.json")
		if _, err := s.createdAt(epoch, now); err == nil || fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), "SOURCE_DATE_EPOCH") {
			t.Errorf("SOURCE_DATE_EPOCH=%s: %v", epoch, err)
		}
	}
}

// TestLongKey: what stands under a long key is read as fast as what does not.
func TestLongKey(t *testing.T) {
	key, items := strings.Repeat("k", 1<<20), strings.Repeat("1,", 1<<20)
	began := time.Now()
	_, err := ParseSpec([]byte(`{"name":"x","config":{"`+key+`":[`+items+`1]}}`), "-")
	if took := time.Since(began); err != nil || took > 20*time.Second {
		t.Errorf("it took %v: %v", took, err)
	}
}
