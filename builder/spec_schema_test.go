package builder

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"terrine/store/fault"
)

// specCase is a spec that ParseSpec and the schema have to judge alike.
type specCase struct {
	name string
	spec string
	// want is "" for a good spec, else a part of the error.
	want string
	// beyond says why a JSON Schema cannot see what is wrong, if it cannot.
	beyond string
}

// Why a schema cannot see some mistakes.
const (
	beyondText      = "JSON text is not visible to a schema"
	beyondRelations = "values are compared with each other"
	beyondCalendar  = "the calendar, and numbers in strings"
	beyondBytes     = "lengths in bytes, not characters"
	beyondSyntax    = "a grammar that is not regular"
	beyondFolding   = "equality but for case"
)

// withName returns a spec with a name and the given fields.
func withName(fields string) string { return `{"name":"x",` + fields + `}` }

// each returns a case for each of values, as the value of one field.
func each(field, want string, values ...string) []specCase {
	var out []specCase
	for _, v := range values {
		name := fmt.Sprintf("%s %.60s", field, v)
		out = append(out, specCase{name: name, spec: withName(`"` + field + `":` + v), want: want})
	}
	return out
}

// inConfig is each for a field of config.
func inConfig(field, want string, values ...string) []specCase {
	var out []specCase
	for _, v := range values {
		name := fmt.Sprintf("config %s %.60s", field, v)
		out = append(out, specCase{name: name, spec: withName(`"config":{"` + field + `":` + v + `}`), want: want})
	}
	return out
}

func beyond(why string, cases []specCase) []specCase {
	for i := range cases {
		cases[i].beyond = why
	}
	return cases
}

func concat(lists ...[]specCase) (all []specCase) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

var topCases = concat(
	[]specCase{
		{name: "least", spec: `{"name":"x"}`},
		{name: "no name", spec: `{}`, want: `"name" is missing`},
		{name: "not an object", spec: `[]`, want: "want an object, not an array"},
		{name: "unknown field", spec: withName(`"contnets":[]`), want: `1:13: contnets: unknown field: did you mean "contents"?`},
		{name: "field of config", spec: withName(`"cmd":["/bin/sh"]`), want: `1:13: cmd: unknown field: "Cmd" is a field of config`},
		{name: "field of both", spec: withName(`"Labels":{}`), want: `1:13: Labels: unknown field: did you mean "labels"?`},
		{name: "unknown field far from all", spec: withName(`"zzzzzzzzzz":1`), want: "zzzzzzzzzz: unknown field: known are $schema, "},
		{name: "field twice", spec: withName(`"name":"y"`), want: "1:13: name: field given twice, first in line 1", beyond: beyondText},
		{name: "field twice deep down", spec: withName("\n\"config\":{\"X\":{\"y\":1,\n \"y\":2}}"), want: "3:2: config.X.y: field given twice, first in line 2", beyond: beyondText},
		{name: "field twice by an escape", spec: withName(`"n\u0061me":"y"`), want: "field given twice", beyond: beyondText},
		{name: "half a surrogate", spec: withName(`"tag":"\ud800"`), want: "half of a surrogate pair"},
		{name: "half a surrogate in what is not looked at", spec: withName(`"config":{"X":["\ud83d\u0041"]}`), want: "config.X[0]: half of a surrogate pair", beyond: beyondText},
		{name: "whole surrogate pair", spec: withName(`"labels":{"x":"\ud83d\ude00 \\ud800"}`)},
		{name: "not UTF-8", spec: withName("\n\"labels\":{\"x\":\"\xff\"}"), want: "2:16: byte 0xff is not UTF-8", beyond: beyondText},
		{name: "deep", spec: withName(`"config":{"X":` + strings.Repeat("[", 70) + strings.Repeat("]", 70) + `}`), want: "nested more than 64 levels", beyond: beyondText},
		{name: "long number", spec: withName(`"config":{"X":` + strings.Repeat("1", 1001) + `}`), want: "config.X: a number of 1001 characters: at most 1000 are read", beyond: beyondText},
		{name: "for editors", spec: withName(`"$schema":"https://example.org/spec.schema.json"`)},
	},
	each("tag", "", `"1.0"`, `"_x"`),
	each("tag", "tag: ", `""`, `"-x"`, `"a b"`, `"a/b"`, `null`, `1`, `"`+strings.Repeat("a", 129)+`"`),
	each("architecture", "", `"amd64"`, `"arm64"`, `"riscv64"`),
	each("architecture", "architecture: ", `"x86_64"`, `"aarch64-linux"`, `""`, `"AMD64"`, `1`),
	each("os", "", `"linux"`),
	each("os", "os: ", `"Linux"`, `""`, `"plan10"`),
	each("variant", "", `"v7"`),
	each("variant", "variant: ", `""`, `"V7"`, `"v 7"`, `7`),
	each("created", "", `"now"`, `"1970-01-01T00:00:01Z"`, `"2024-02-29"`, `"2024-01-31T12:00"`, `"2024-01-31 12:00:00.123456789+01:00"`, `"2024-01-31t12:00:00z"`, `"2024-01-31T12:00:00-0800"`, `"1700000000"`, `"@19700101"`, `0`, `1`, `1.7e9`, `253402300799`),
	each("created", "created: ", `""`, `"Now"`, `"yesterday"`, `"2024-1-1"`, `"2024-01-31T12:00:00.1234567890Z"`, `"2024-01-31T12:00.5"`, `"2024-01-31T12Z"`, `"19700101"`, `-1`, `1.5`, `253402300800`, `true`, `null`, `"@"`, `"@-1"`),
	beyond(beyondCalendar, each("created", "created: ", `"2023-02-29"`, `"2024-13-01"`, `"2024-01-31T24:00:00Z"`, `"1969-12-31"`, `"99999999999999999999"`, `"@253402300800"`)),
	each("mtime", "", `"now"`, `0`, `"2024-01-31"`, `8589934591`),
	each("mtime", "mtime: 2242-03-16T12:56:32Z is not a whole second before 2242-03-16T12:56:32Z", `8589934592`),
	each("mtime", "mtime: ", `-1`, `"x"`),
	beyond(beyondCalendar, each("mtime", "mtime: ", `"2242-03-17"`, `"2024-01-31T12:00:00.5Z"`)),
	each("uid", "", `0`, `1000`, `4294967294`, `1e3`, `1000.0`),
	each("gid", "gid: ", `-1`, `4294967295`, `"0"`, `0.5`, `1e400`, `1e-400`, `null`),
	each("uname", "", `"root"`, `""`, `"_x-1.y"`),
	each("gname", "gname: ", `"1x"`, `"a b"`, `"ä"`, `"`+strings.Repeat("a", 32)+`"`, `0`),
	each("maxLayers", "", `2`, `125`),
	each("maxLayers", "maxLayers: ", `1`, `126`, `0`, `-5`, `"100"`, `99999999999999999999`),
	each("includeStorePaths", "", `false`, `true`),
	each("includeStorePaths", "includeStorePaths: want true or false", `0`, `"false"`, `null`),
	each("includeNixDB", "", `false`, `true`),
	each("includeNixDB", "includeNixDB: want true or false", `0`, `null`),
	each("rootTree", "", `"`+string(pathA)+`"`),
	each("rootTree", "rootTree: ", `"tree"`, `"`+string(pathA)+`/tree"`, `{"path":"."}`, `""`),
	each("tmp", "", `true`, `false`),
	each("tmp", "tmp: ", `1777`),
	each("conflicts", "", `"warn"`, `"error"`),
	each("conflicts", "conflicts: ", `"ignore"`, `true`, `""`),
	each("join", "", `"contents"`, `"closure"`),
	each("join", "join: ", `"x"`, `["contents"]`),
)

var contentCases = concat(
	each("contents", "", `[]`, `["`+string(pathA)+`","`+string(pathB)+`"]`, `["/gnu/my/store/`+hashA+`-x"]`,
		`[{"path":"./site"}]`, `[{"path":"/srv/site/"}]`, `[{"path":".","name":"here"}]`),
	each("contents", "contents[0]", `["site"]`, `["./site"]`, `[""]`, `["`+hashA+`-a"]`, `["/nix/store/x-a"]`, `["`+string(pathA)+`/bin"]`,
		`["/nix/./store/`+hashA+`-a"]`, `["/nix/../store/`+hashA+`-a"]`, `["nix/store/`+hashA+`-a"]`, `["/nix/store/`+hashA+`-.a"]`, `["/nix/store/`+hashA+`-"]`,
		`[1]`, `[null]`, `[{}]`, `[{"path":""}]`, `[{"name":"x"}]`, `[{"path":"a\u0000b"}]`, `[{"path":"x","name":"a b"}]`, `[{"path":"x","nam":"y"}]`),
	beyond(beyondSyntax, each("contents", `give it a "name"`, `[{"path":"."}]`, `[{"path":"../"}]`, `[{"path":"a b"}]`, `[{"path":"/"}]`)),
	each("contents", "want an array", `"`+string(pathA)+`"`, `{}`, `null`),
	each("binSh", "", `"`+string(pathA)+`"`, `{"path":"./busybox"}`),
	each("usrBinEnv", "usrBinEnv: ", `true`, `"coreutils"`),
	each("caCertificates", "caCertificates: ", `["`+string(pathA)+`"]`),
	each("layering", "", `{}`, `{"strategy":"popularity","minSize":1000000,"pins":[{"glob":"*-glibc-*","layer":"libc"}]}`),
	each("layering", "", `{"groups":[]}`, `{"groups":[["*glibc*","icu4c-*"],["*"]]}`, `{"pipeline":[]}`, `{"pipeline":"pipeline.json"}`,
		`{"pipeline":[["split_paths",["/nix/store/x-a",{"children_of":["a","b"]},{"children_of":"c"}]],["over","rest",["pipe",[["popularity_contest"],["limit_layers",5.0]]]],["flatten"],["reverse"]]}`,
		`{"pipeline":[["subcomponent_in",["a"]],["over","main",["subcomponent_out",[]]],["flatten"],["map",["split_every",1]],["map",["map",["remove_paths","a"]]],["map",["map",["remove_paths",["a","b"]]]]]}`),
	each("layering", "layering.groups", `{"groups":[[]]}`, `{"groups":{}}`, `{"groups":["a"]}`, `{"groups":[["a",""]]}`, `{"groups":[[1]]}`),
	beyond(beyondSyntax, each("layering", "1:40: layering.groups[0][1]: ", `{"groups":[["a","["]]}`)),
	each("layering", "layering.pipeline", `{"pipeline":null}`, `{"pipeline":""}`, `{"pipeline":{}}`, `{"pipeline":[[]]}`, `{"pipeline":[["flatten"],["x"]]}`, `{"pipeline":["flatten"]}`,
		`{"pipeline":[["flatten",1]]}`, `{"pipeline":[["over","a"]]}`, `{"pipeline":[["over",1,["flatten"]]]}`, `{"pipeline":[["limit_layers",0]]}`, `{"pipeline":[["split_every",1.5]]}`, `{"pipeline":[["split_every","1"]]}`,
		`{"pipeline":[["split_paths","a"]]}`, `{"pipeline":[["split_paths",[{"of":"a"}]]]}`, `{"pipeline":[["split_paths",[{"children_of":1}]]]}`, `{"pipeline":[["subcomponent_in","a"]]}`, `{"pipeline":[["remove_paths",[1]]]}`,
		`{"pipeline":[["pipe",["flatten"]]]}`, `{"pipeline":[["map",[["flatten"]]]]}`),
	each("layering", "image.json:1:85: layering.pipeline[1][2][1][0][1]: want a whole number", `{"pipeline":[["flatten"],["over","a",["pipe",[["split_every",0]]]]]}`),
	beyond(beyondSyntax, each("layering", "layering.pipeline[0][1][0]: ", `{"pipeline":[["remove_paths",["["]]]}`)),
	each("layering", "", `{"rates":"rates.json"}`, `{"rates":"/nix/store/`+hashA+`-rates.json"}`),
	each("layering", "layering.rates: ", `{"rates":{}}`, `{"rates":""}`, `{"rates":null}`, `{"rates":"a\u0000"}`),
	each("layering", "", `{"chainWeight":0}`, `{"chainWeight":0.25}`, `{"chainWeight":1e3}`),
	each("layering", "layering.chainWeight: ", `{"chainWeight":-0.1}`, `{"chainWeight":1001}`, `{"chainWeight":"1"}`, `{"chainWeight":null}`, `{"chainWeight":1e999}`),
	each("layering", "layering", `[]`, `{"strategy":"best"}`, `{"strategy":""}`, `{"minSize":-1}`, `{"minSize":"1M"}`, `{"minSize":9223372036854775808}`, `{"maxLayers":5}`,
		`{"pins":{}}`, `{"pins":[{"glob":"x"}]}`, `{"pins":[{"layer":"x"}]}`, `{"pins":[{"glob":"","layer":"x"}]}`, `{"pins":[{"glob":"x","layer":"x","y":1}]}`),
	beyond(beyondSyntax, each("layering", "layering.pins[0].glob: ", `{"pins":[{"glob":"[","layer":"x"}]}`)),
)

var fileCases = concat(
	each("files", "", `{}`, `{"etc/passwd":{"text":"x\u0000"}}`, `{"/etc/x":{"source":"./x","mode":"0600","uid":1,"gid":2}}`, `{"a/":{"directory":true,"owner":"1:2"}}`,
		`{"a":{"symlink":"../b","owner":"1"}}`, `{"a.wh.b":{"text":""}}`, `{"a..b":{"text":"","mode":"4755"}}`, `{"nix/var":{"text":""}}`, `{"nix/store2":{"text":""}}`),
	each("files", "files", `[]`, `{"":{"text":""}}`, `{"/":{"text":""}}`, `{"a//b":{"text":""}}`, `{"//a":{"text":""}}`, `{"./a":{"text":""}}`, `{"a/../b":{"text":""}}`, `{"..":{"text":""}}`,
		`{"a/.wh.b":{"text":""}}`, `{".wh..wh..opq":{"text":""}}`, `{".wh.a/b":{"text":""}}`, `{"a\u0000":{"text":""}}`, `{"nix/store":{"directory":true}}`, `{"/nix/store/x":{"text":""}}`,
		`{"`+strings.Repeat("a", 256)+`":{"text":""}}`,
		`{"a":"text"}`, `{"a":{}}`, `{"a":{"text":"","source":"x"}}`, `{"a":{"text":1}}`, `{"a":{"source":""}}`, `{"a":{"symlink":""}}`, `{"a":{"symlink":"b","mode":"0777"}}`,
		`{"a":{"directory":false}}`, `{"a":{"directory":1}}`, `{"a":{"text":"","mode":420}}`, `{"a":{"text":"","mode":"888"}}`, `{"a":{"text":"","mode":"64"}}`, `{"a":{"text":"","mode":"07777"}}`,
		`{"a":{"text":"","mode":"+644"}}`, `{"a":{"text":"","mode":"u=rw"}}`, `{"a":{"text":"","uid":-1}}`, `{"a":{"text":"","owner":"root"}}`, `{"a":{"text":"","owner":"1:"}}`,
		`{"a":{"text":"","owner":"1:2","uid":1}}`, `{"a":{"text":"","gid":1,"owner":"1:2"}}`, `{"a":{"text":"","uname":"x"}}`),
	beyond(beyondRelations, each("files", "is the same path", `{"a":{"text":""},"/a":{"text":""}}`, `{"a/":{"directory":true},"a":{"text":""}}`)),
	beyond(beyondCalendar, each("files", "owner", `{"a":{"text":"","owner":"4294967295"}}`, `{"a":{"text":"","owner":"0:9999999999"}}`)),
	beyond(beyondBytes, each("files", "files", `{"`+strings.Repeat("ä", 200)+`":{"text":""}}`)),
	each("perms", "", `{}`, `{"**":{"uid":1}}`, `{"/tmp/":{"mode":"1777"}}`, `{"a/**/b*/[a-z]?":{"owner":"1:2","mode":"600"}}`),
	each("perms", "perms", `[]`, `{"":{"uid":1}}`, `{"/":{"uid":1}}`, `{"a":{}}`, `{"a":null}`, `{"a":{"mod":"600"}}`, `{"a":{"mode":600}}`, `{"a**":{"uid":1}}`, `{"a//b":{"uid":1}}`, `{"../a":{"uid":1}}`),
	beyond(beyondSyntax, each("perms", "perms", `{"[a":{"uid":1}}`, `{"a\\":{"uid":1}}`)),
	beyond(beyondRelations, each("perms", "given twice", `{"/a":{"uid":1},"a":{"uid":2}}`)),
	each("fakeNss", "", `true`, `false`, `{}`, `{"extraPasswdLines":["a:x:1:1:A B:/home/a:/bin/sh"],"extraGroupLines":["g:x:1:a,b"]}`),
	each("fakeNss", "fakeNss", `null`, `"yes"`, `[]`, `{"extraPasswdLines":"x"}`, `{"extraPasswdLines":["a:x:1"]}`, `{"extraGroupLines":[":x:1:"]}`, `{"extraGroupLines":["a:x:1:\nb:x:2:"]}`, `{"extra":[]}`),
)

var configCases = concat(
	each("config", "", `{}`, `{"Unknown":{"x":[null]},"Cmd":null}`),
	each("config", "config: want an object", `null`, `[]`, `"x"`),
	inConfig("Env", "", `[]`, `null`, `["A=b","B=","C==x","PS1=\\u \t\n"]`, `["äöü=x"]`),
	inConfig("Env", "config.Env", `{}`, `"A=b"`, `[1]`, `[null]`, `["A"]`, `[""]`, `["=x"]`, `["A=\u0000"]`, `["A=\u001b[31m"]`, `["A=\u009b31m"]`, `["A B=x"]`, `["`+strings.Repeat("a", 131073)+`=x"]`),
	beyond(beyondRelations, inConfig("Env", "config.Env[2]: variable A is set by config.Env[0] already", `["A=1","B=2","A=3"]`)),
	beyond(beyondBytes, inConfig("Env", "131074 bytes", `["a=`+strings.Repeat("ä", 65536)+`"]`)),
	inConfig("Cmd", "", `[]`, `["a",""]`),
	inConfig("Cmd", "config.Cmd", `"sh"`, `[["a"]]`, `["a\u0000"]`, `["\u0007"]`, `{"0":"a"}`),
	inConfig("Entrypoint", "config.Entrypoint", `"sh -c"`, `[true]`),
	inConfig("User", "", `""`, `"0"`, `"999"`, `"nobody"`, `"1000:1000"`, `"a_b-c$:wheel"`, `null`),
	inConfig("User", "config.User", `1000`, `":0"`, `"a:"`, `"a:b:c"`, `"a b"`, `"-5"`, `"a/b"`, `"a\n"`, `"a\u0000"`),
	beyond(beyondCalendar, inConfig("User", "config.User", `"2147483648"`, `"0:99999999999999999999"`)),
	inConfig("ExposedPorts", "", `{}`, `{"80":{},"443/tcp":{},"53/udp":{},"9/sctp":{},"8000-8010/tcp":{},"65535":{}}`, `null`, `{"80":null}`, `{"53/TCP":{},"53/uDp":null}`),
	inConfig("ExposedPorts", "config.ExposedPorts", `["80"]`, `{"99999":{}}`, `{"65536/tcp":{}}`, `{"0":{}}`, `{"080":{}}`, `{"80/xyz":{}}`, `{"http":{}}`, `{"80/":{}}`, `{"-1":{}}`, `{"80/TCPX":{}}`, `{"80":[]}`, `{"":{}}`),
	beyond(beyondRelations, inConfig("ExposedPorts", "config.ExposedPorts", `{"90-80":{}}`)),
	beyond(beyondRelations, inConfig("ExposedPorts", `config.ExposedPorts["53/TCP"]: it is the same as "53/tcp"`, `{"53/tcp":{},"53/TCP":{}}`)),
	inConfig("Volumes", "", `{"/data":{}}`, `null`, `{"/data":null}`),
	inConfig("Volumes", "config.Volumes", `{"data":{}}`, `{"/data":1}`, `["/data"]`, `{"/a\u0000":{}}`),
	inConfig("WorkingDir", "", `"/"`, `"/a/b"`, `""`, `null`),
	inConfig("WorkingDir", "config.WorkingDir", `"a"`, `"./a"`, `1`, `"/\u0000"`),
	inConfig("Labels", "", `{"a":"b","c":""}`, `null`),
	inConfig("Labels", "config.Labels", `{"a":1}`, `{"":"x"}`, `{"a":"\u0000"}`, `{"a\u001b":"x"}`, `["a=b"]`, `{"a":null}`),
	inConfig("StopSignal", "", `"SIGTERM"`, `"9"`, `"SIGRTMIN+3"`, `"KILL"`, `null`),
	inConfig("StopSignal", "config.StopSignal", `9`, `"sig term"`, `""`, `"SIG-1-2"`),
	inConfig("StopTimeout", "", `10`, `null`),
	inConfig("StopTimeout", "config.StopTimeout", `"10"`, `-1`, `1.5`),
	inConfig("Tty", "config.Tty", `"true"`),
	inConfig("Hostname", "config.Hostname", `1`, `"a\u0000"`),
	inConfig("Healthcheck", "", `{}`, `null`, `{"Test":[]}`, `{"Test":["NONE"]}`, `{"Test":["CMD","a","b"],"Interval":1000000000,"Timeout":0,"Retries":3,"StartPeriod":1000000,"StartInterval":5e9}`, `{"Test":["CMD-SHELL","curl -f x || exit 1"]}`),
	inConfig("Healthcheck", "config.Healthcheck", `[]`, `"x"`, `{"Test":"curl"}`, `{"Test":["curl","x"]}`, `{"Test":["CMD"]}`, `{"Test":["NONE","x"]}`, `{"Test":["CMD-SHELL"]}`, `{"Test":["CMD-SHELL","a","b"]}`, `{"Interval":"30s"}`, `{"Interval":30}`, `{"Interval":-1}`, `{"Retries":-1}`, `{"Retries":1.5}`, `{"Tset":[]}`),
	beyond(beyondFolding, each("config", "engines would take it for", `{"env":[]}`, `{"CMD":["a"]}`, `{"\u017ftopSignal":"9"}`)),
	each("labels", "", `{}`, `{"org.example.x":"y"}`),
	each("labels", "labels", `null`, `[]`, `{"a":1}`, `{"":"x"}`, `{"a":"\u0000"}`),
	each("annotations", "", `{"a":"b"}`),
	each("annotations", "annotations", `{"a":{}}`, `{"a":"\u0007"}`),
)

func TestSpecAndSchemaAgree(t *testing.T) {
	schema := compileSchema(t)
	var names = []specCase{
		{name: "name of a digest", spec: `{"name":"` + strings.Repeat("0", 64) + `"}`, want: "image ID"},
		{name: "name too long with its registry", spec: `{"name":"` + strings.Repeat("a", 250) + `"}`, want: "at most 255", beyond: beyondRelations},
	}
	for _, bad := range []string{"", "a:1", "a@sha256:0", "/a", "a//b", "A b", "x.io:p/a", "ä", ".a", "a_-b"} {
		names = append(names, specCase{name: "name " + bad, spec: `{"name":"` + bad + `"}`, want: "name: "})
	}
	for _, good := range []string{"a", "A", "a/b", "ghcr.io/Me/App", "localhost:5000/x", "[::1]:5000/x", "a--b", "a__b"} {
		names = append(names, specCase{name: "name " + good, spec: `{"name":"` + good + `"}`})
	}
	for _, c := range concat(names, topCases, contentCases, fileCases, configCases) {
		t.Run(c.name, func(t *testing.T) { c.run(t, schema) })
	}
}

func (c specCase) run(t *testing.T, schema *jsonschema.Schema) {
	_, err := ParseSpec([]byte(c.spec), "image.json")
	switch {
	case c.want == "" && err != nil:
		t.Errorf("ParseSpec: %v", err)
	case c.want != "" && err == nil:
		t.Errorf("ParseSpec takes it, want an error with %q", c.want)
	case c.want != "" && !strings.Contains(err.Error(), c.want):
		t.Errorf("ParseSpec: %v\nwant an error with %q", err, c.want)
	case err != nil && (!strings.HasPrefix(err.Error(), "parse spec image.json:") || fault.CodeOf(err) != fault.Refused):
		t.Errorf("ParseSpec: %v (class %d)\nwant a position and class %d", err, fault.CodeOf(err), fault.Refused)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(c.spec))
	if err != nil {
		t.Fatal(err)
	}
	err = schema.Validate(value)
	if good := c.want == "" || c.beyond != ""; good != (err == nil) {
		t.Errorf("the schema says %v, want good %v", err, good)
	}
}

func compileSchema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile("../docs/spec.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("urn:terrine:spec", value); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("urn:terrine:spec")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// What is no JSON at all has a position too.
func TestSpecSyntax(t *testing.T) {
	for _, test := range []struct{ spec, want string }{
		{"", "image.json:1:1: the file is empty"},
		{" \n ", "image.json:2:1: the file is empty"},
		{"{\n \"name\": \"x\",\n}", "image.json:3:1: invalid character '}'"},
		{`{"name":"x"`, "unexpected end of JSON input"},
		{"{\"name\":\"x\"}\n x", "image.json:2:2: invalid character 'x' after top-level value"},
		{`{"name":"x"}{}`, "image.json:1:13: invalid character '{' after top-level value"},
		{"\ufeff{}", "image.json:1:1: it begins with a byte order mark"},
		{`{"name":"x","uid":01}`, "image.json:1:20: invalid character"},
		{`{"tag":"x","äö":1, "ä":1}`, "image.json:1:12: [\"äö\"]: unknown field"},
		{strings.Repeat("[", 20000), "image.json:1:10001: invalid character '[' exceeded max depth"},
		{`{"x":"` + strings.Repeat("a", MaxSpecSize) + `"}`, "more than 16777216 bytes"},
	} {
		_, err := ParseSpec([]byte(test.spec), "image.json")
		if err == nil || !strings.Contains(err.Error(), test.want) || fault.CodeOf(err) != fault.Refused {
			t.Errorf("ParseSpec(%.40q) = %v, want %q", test.spec, err, test.want)
		}
	}
}

// FuzzParseSpec: no input panics, errors have their class, and a spec that is
// taken is one that the schema takes.
func FuzzParseSpec(f *testing.F) {
	for _, c := range concat(topCases, contentCases, fileCases, configCases) {
		if len(c.spec) < 4096 {
			f.Add([]byte(c.spec))
		}
	}
	schema := compileSchema(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		spec, err := ParseSpec(data, "image.json")
		if err != nil {
			if fault.CodeOf(err) != fault.Refused {
				t.Fatalf("class %d: %v", fault.CodeOf(err), err)
			}
			return
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			t.Fatalf("taken, but no JSON: %v", err)
		}
		if err := schema.Validate(value); err != nil {
			t.Fatalf("taken, but not by the schema: %v", err)
		}
		spec.configPaths("/nix/store")
		spec.reference("tag").Full()
	})
}

// The example of the documentation is a good spec.
func TestDocumentedSpec(t *testing.T) {
	text, err := os.ReadFile("../docs/spec.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```json\n")
	example, _, found := strings.Cut(rest, "\n```")
	if !found {
		t.Fatal("docs/spec.md has no example")
	}
	specCase{spec: example}.run(t, compileSchema(t))
}
