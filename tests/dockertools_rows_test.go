package tests

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"terrine/tests/engines"
)

// runRows are the rows about images that run.
func runRows() []behaviour {
	hello := func(f paths) spec {
		return spec{"contents": []string{f["hello"]}, "config": spec{"Cmd": []string{"/bin/hello"}}}
	}
	bare := func(f paths) spec {
		s := hello(f)
		s["includeStorePaths"] = false
		return s
	}
	user := func(f paths) spec {
		return spec{"contents": []string{f["busybox"]}, "fakeNss": true, "config": spec{"User": "999", "Cmd": []string{"/bin/sh"}}}
	}
	return []behaviour{
		{n: "D1", phrase: "a program of the contents runs", output: "-", spec: hello, check: prints("Hello, world!")},
		{n: "D2", phrase: "without store paths it loads and cannot run", output: "-", spec: bare,
			check: func(t *testing.T, c *loadedImage) {
				if r := engines.Try(t, c.docker.RunCommand(t.Context(), c.ref)); r.Code == 0 {
					t.Errorf("it runs, and prints %q", r.Stdout)
				}
			}},
		{n: "D4", phrase: "without store paths nothing stands in the store", output: "image.tar", spec: bare, check: noStore},
		{n: "D20", phrase: "runs as user 999, who can enter the store", output: "image.tar.gz", spec: user,
			check: prints("999 755 755", "/bin/sh", "-c", `echo $(id -u) $(stat -c %a /nix) $(stat -c %a /nix/store)`)},
		{n: "D29", phrase: "a file of the spec can be read", output: "image.tar.gz", spec: func(f paths) spec {
			return spec{"contents": []string{f["busybox"]}, "files": spec{"/etc/greeting": spec{"text": "from the spec\n"}},
				"config": spec{"Cmd": []string{"/bin/cat", "/etc/greeting"}}}
		}, check: prints("from the spec")},
		{n: "D42", phrase: "without contents it has just the path that it mentions", output: "image.tar.gz", spec: func(f paths) spec {
			return spec{"config": spec{"Cmd": []string{f["busybox"] + "/bin/ls", "/nix/store"}}}
		}, check: func(t *testing.T, c *loadedImage) { prints(filepath.Base(c.paths["busybox"]))(t, c) }},
	}
}

// noStore tests that the file system of the image has no store path.
func noStore(t *testing.T, c *loadedImage) {
	t.Helper()
	root := filepath.Join(t.TempDir(), "root")
	c.docker.Export(t, c.ref, root)
	if entries, err := os.ReadDir(filepath.Join(root, "nix/store")); err == nil && len(entries) > 0 {
		t.Errorf("there are %d store paths in the image", len(entries))
	}
	if _, err := os.Lstat(filepath.Join(root, "bin/hello")); err != nil {
		t.Errorf("the root layer is not there: %v", err)
	}
}

// tagRows are the rows about the name and tag that docker lists.
func tagRows() []behaviour {
	hello := func(f paths) spec { return spec{"contents": []string{f["hello"]}} }
	named := func(f paths) spec {
		return spec{"name": "registry-1.docker.io/dockertools/image", "tag": "v1", "contents": []string{f["hello"]}}
	}
	single := func(f paths) spec {
		s := named(f)
		s["name"], s["maxLayers"] = "registry-1.docker.io/dockertools/single", 2
		return s
	}
	listed := func(want string) func(*testing.T, *loadedImage) {
		return func(t *testing.T, c *loadedImage) {
			t.Helper()
			if tags := c.inspect(t).RepoTags; !slices.Contains(tags, want) {
				t.Errorf("docker lists %q, want %s", tags, want)
			}
		}
	}
	return []behaviour{
		{n: "D11", phrase: "without a tag the image's own hash is it", output: "image.tar.gz",
			spec: func(f paths) spec { return spec{"contents": []string{f["hello"]}, "maxLayers": 2} }, check: ownTag},
		{n: "D12", phrase: "without a tag, of many layers", output: "image.tar", spec: hello, check: ownTag},
		{n: "D13", phrase: "without a tag, through a pipe", output: "-", spec: hello, check: ownTag},
		{n: "D47", phrase: "a registry before the name is listed", output: "image.tar.gz", spec: single,
			check: listed("registry-1.docker.io/dockertools/single:v1")},
		{n: "D48", phrase: "a registry before the name is listed, of many layers", output: "image.tar.gz", spec: named,
			check: listed("registry-1.docker.io/dockertools/image:v1")},
	}
}

var hashPart = regexp.MustCompile(`^[0-9a-z]{32}$`)

// ownTag tests that the tag is a hash that is the same for the same spec and
// another for another.
func ownTag(t *testing.T, c *loadedImage) {
	t.Helper()
	tag := tagOf(c.ref)
	if tags := c.inspect(t).RepoTags; !hashPart.MatchString(tag) || !slices.Contains(tags, c.ref) {
		t.Fatalf("docker load names %s, docker lists %q: want 32 characters of a hash as the tag", c.ref, tags)
	}
	again := &loadedImage{docker: c.docker, desk: newDesk(t), paths: c.paths, spec: c.spec}
	again.load(t, "again.tar")
	if again.ref != c.ref {
		t.Errorf("built again it is called %s, before %s", again.ref, c.ref)
	}
	other := &loadedImage{docker: c.docker, desk: newDesk(t), paths: c.paths, spec: c.spec}
	other.spec["config"] = spec{"Env": []string{"A=b"}}
	other.load(t, "other.tar")
	if tagOf(other.ref) == tag {
		t.Errorf("another image has the tag %s too", tag)
	}
}

// archiveRows are the rows about compression and the number of layers.
func archiveRows() []behaviour {
	hello := func(more spec) func(f paths) spec {
		return func(f paths) spec {
			s := spec{"contents": []string{f["hello"]}, "config": spec{"Cmd": []string{"/bin/hello"}}}
			for k, v := range more {
				s[k] = v
			}
			return s
		}
	}
	greets := prints("Hello, world!")
	// An old dockerd gets the image decompressed: see Docker.Load. podman takes it as it is.
	alsoByPodman := func(t *testing.T, c *loadedImage) {
		greets(t, c)
		podman := engines.NewPodman(t)
		if said := podman.Run(t, podman.Load(t, c.file)[0]); !strings.Contains(said, "Hello, world!") {
			t.Errorf("podman run prints %q", said)
		}
	}
	return []behaviour{
		{n: "D15", phrase: "compressed by zstd, one layer of store paths", output: "image.tar.zst", spec: hello(spec{"maxLayers": 2}), check: alsoByPodman},
		{n: "D16", phrase: "not compressed, one layer of store paths", output: "image.tar", spec: hello(spec{"maxLayers": 2}), check: greets},
		{n: "D17", phrase: "not compressed", output: "image.tar", spec: hello(nil), check: greets},
		{n: "D18", phrase: "compressed by zstd", output: "image.tar.zst", spec: hello(nil), check: alsoByPodman},
		{n: "D39", phrase: "at most two layers", output: "image.tar.gz", spec: hello(spec{"maxLayers": 2}),
			check: func(t *testing.T, c *loadedImage) {
				if layers := c.inspect(t).RootFS.Layers; len(layers) != 2 {
					t.Errorf("it has %d layers, want 2", len(layers))
				}
				greets(t, c)
			}},
		{n: "D40", phrase: "more paths than layers, and none is missing", output: "image.tar.gz", spec: func(f paths) spec {
			return spec{"contents": []string{f["crowd"], f["busybox"]}, "config": spec{"Cmd": []string{"/bin/hello"}}}
		}, check: crowded},
		{n: "D32", phrase: "two images with a common closure share a layer", output: "image.tar.gz", spec: hello(nil), check: sharesLayer},
	}
}

// crowded tests that all paths of the closure are in the image, and in how many
// layers.
func crowded(t *testing.T, c *loadedImage) {
	t.Helper()
	prints("Hello, world!")(t, c)
	if layers := c.inspect(t).RootFS.Layers; len(layers) > 100 {
		t.Errorf("it has %d layers", len(layers))
	}
	want := engines.Closure(t, c.paths["crowd"], c.paths["busybox"])
	for i, p := range want {
		want[i] = filepath.Base(p)
	}
	slices.Sort(want)
	if len(want) <= 100 {
		t.Fatalf("a closure of %d paths is not enough", len(want))
	}
	got := strings.Fields(c.docker.Run(t, c.ref, "/bin/ls", "/nix/store"))
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the store of the image has %d paths, the closure %d", len(got), len(want))
	}
}

// sharesLayer builds a second image that has busybox too.
func sharesLayer(t *testing.T, c *loadedImage) {
	t.Helper()
	other := &loadedImage{docker: c.docker, desk: newDesk(t), paths: c.paths}
	other.spec = spec{"name": "dockertools/d32-other", "contents": []string{c.paths["greet"]}, "config": spec{"Cmd": []string{"/bin/greet"}}}
	other.load(t, "other.tar.gz")
	prints("Greetings, world!")(t, other)
	mine, theirs := c.inspect(t).RootFS.Layers, other.inspect(t).RootFS.Layers
	if !slices.ContainsFunc(mine, func(l string) bool { return slices.Contains(theirs, l) }) {
		t.Errorf("the images share no layer: %q and %q", mine, theirs)
	}
}

// storeRows are the rows about what stands in the root layer and the store.
func storeRows() []behaviour {
	with := func(attribute string, more ...string) func(f paths) spec {
		return func(f paths) spec {
			contents := []any{f["busybox"]}
			for _, a := range more {
				contents = append(contents, f[a])
			}
			return spec{"contents": contents, "config": spec{"Cmd": []string{f[attribute]}}}
		}
	}
	// shell runs a line of sh in which $P is a fixture.
	shell := func(attribute, line, want string) func(*testing.T, *loadedImage) {
		return func(t *testing.T, c *loadedImage) {
			t.Helper()
			prints(want, "/bin/sh", "-c", "P="+c.paths[attribute]+"; "+line)(t, c)
		}
	}
	return []behaviour{
		{n: "D22", phrase: "a symlink between programs stays", output: "image.tar.gz", spec: with("twins", "twins"),
			check: shell("twins", `readlink $P/bin/nix-daemon; /bin/nix-daemon`, "nix\nHello, world!")},
		{n: "D44", phrase: "a store path that is a file can be read", output: "image.tar.gz", spec: with("plain-file"),
			check: shell("plain-file", `cat $P`, "some data")},
		{n: "D46", phrase: "a store path that is a symlink stays one", output: "image.tar.gz", spec: with("symlink-path"),
			check: func(t *testing.T, c *loadedImage) {
				shell("symlink-path", `readlink $P; $P/bin/hello`, c.paths["hello"]+"\nHello, world!")(t, c)
			}},
		{n: "D58", phrase: "a bare directory is joined into the root", output: "image.tar.gz", spec: func(f paths) spec {
			return spec{"contents": []any{f["busybox"], spec{"path": "./dir"}}, "config": spec{"Cmd": []string{"/bin/cat", "/hello.txt"}}}
		}, check: prints("hello from a directory")},
		{n: "D59", phrase: "a bare store path is joined into the root, through a pipe", output: "-", spec: func(f paths) spec {
			return spec{"contents": []any{f["busybox"], f["hello-txt"]}, "config": spec{"Cmd": []string{"/bin/cat", "/hello.txt"}}}
		}, check: prints("hello from a bare path")},
		{n: "D63", phrase: "the bundle of certificates stands at its three places", output: "image.tar.gz", spec: func(f paths) spec {
			return spec{"contents": []string{f["busybox"]}, "caCertificates": f["cacert"]}
		}, check: prints(strings.TrimSpace(strings.Repeat("a bundle of certificates\n", 3)), "/bin/cat", "/etc/ssl/certs/ca-bundle.crt",
			"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")},
		{n: "D76", phrase: "files of the store belong to uid and gid 1000", output: "-", spec: func(f paths) spec {
			return spec{"contents": []string{f["busybox"]}, "uid": 1000, "gid": 1000, "uname": "user", "gname": "group"}
		}, check: shell("busybox", `find /nix | while read -r f; do stat -c %u:%g "$f"; done | sort -u`, "1000:1000")},
	}
}

// configRows are the rows about the config that docker inspect shows.
func configRows() []behaviour {
	hello := func(more spec) func(f paths) spec {
		return func(f paths) spec {
			s := spec{"contents": []string{f["hello"]}, "config": spec{"Cmd": []string{"/bin/hello"}}}
			for k, v := range more {
				s[k] = v
			}
			return s
		}
	}
	epoch := time.Unix(1, 0).UTC()
	now := func(t *testing.T, c *loadedImage) {
		t.Helper()
		if age := time.Since(c.inspect(t).Created); age < -time.Minute || age > 10*time.Minute {
			t.Errorf("it is %v old", age)
		}
	}
	arm := func(t *testing.T, c *loadedImage) {
		t.Helper()
		if i := c.inspect(t); i.Architecture != "arm64" || i.Os != "linux" {
			t.Errorf("it is for %s/%s", i.Os, i.Architecture)
		}
	}
	return []behaviour{
		{n: "D8", phrase: "created one second after the epoch", output: "image.tar.gz", spec: hello(spec{"maxLayers": 2}),
			check: func(t *testing.T, c *loadedImage) {
				if got := c.inspect(t).Created; !got.Equal(epoch) {
					t.Errorf("created %v, want %v", got, epoch)
				}
			}},
		{n: "D27", phrase: "created now", output: "image.tar.gz", spec: hello(spec{"maxLayers": 2, "created": "now"}), check: now},
		{n: "D28", phrase: "created now, of many layers", output: "image.tar.gz", spec: hello(spec{"created": "now"}), check: now},
		{n: "D60", phrase: "for another architecture", output: "image.tar.gz", spec: hello(spec{"maxLayers": 2, "architecture": "arm64"}), check: arm},
		{n: "D61", phrase: "for another architecture, through a pipe", output: "-", spec: hello(spec{"architecture": "arm64"}), check: arm},
	}
}
