package tests

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"terrine/tests/engines"
	"terrine/tests/fixtures"
	"terrine/tests/lab"
	"terrine/tests/need"
)

// imageCase is a closure, and a program in it.
type imageCase struct {
	name  string
	top   func(t *testing.T) string
	cmd   func(closure []string) []string // the command, given the closure
	says  string                          // what it prints, in part
	large bool                            // do not unpack it by every engine
}

func imageCases() []imageCase {
	return []imageCase{{
		name: "odd",
		top:  func(t *testing.T) string { return fixtures.Build(t, "everything")[0] },
		cmd:  func(c []string) []string { return []string{named(c, "hello") + "/bin/hello"} },
		says: "Hello, world!",
	}, {
		name: "small",
		top:  func(t *testing.T) string { return fixtures.Debian(t, fixtures.Small...) },
		cmd: func(c []string) []string {
			return []string{named(c, "busybox-static") + "/bin/busybox", "echo", "from busybox"}
		},
		says: "from busybox",
	}, {
		name: "medium",
		top:  func(t *testing.T) string { return fixtures.Debian(t, fixtures.Medium...) },
		// Debian's programs look for their interpreter and libraries in /, and find them by their loader.
		cmd: func(c []string) []string {
			libraries := named(c, "libc6-2") + "/lib/x86_64-linux-gnu:" + named(c, "zlib1g") + "/lib/x86_64-linux-gnu:" +
				named(c, "libpcre2-8") + "/usr/lib/x86_64-linux-gnu"
			return []string{named(c, "libc6-2") + "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
				"--library-path", libraries, named(c, "git-1") + "/usr/bin/git", "--version"}
		},
		says:  "git version",
		large: true,
	}}
}

// named returns the path of a closure whose name begins with prefix; of several,
// the one with the shortest name.
func named(closure []string, prefix string) string {
	found := ""
	for _, p := range closure {
		_, name, _ := strings.Cut(filepath.Base(p), "-")
		if strings.HasPrefix(name, prefix) && (found == "" || len(p) < len(found)) {
			found = p
		}
	}
	return found
}

// TestEngines makes images of closures and gives them to everything that takes
// images. Each store path must come out with the NAR hash that nix registered.
func TestEngines(t *testing.T) {
	for _, c := range imageCases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := c.build(t)
			compareLayers(t, b.image, b.closure)
			t.Run("docker", b.testDocker)
			t.Run("containerd", b.testContainerd)
			t.Run("podman", b.testPodman)
			t.Run("skopeo and umoci", b.testSkopeoUmoci)
			if c.large {
				return
			}
			t.Run("documents", b.testDocuments)
			for _, name := range []string{"image.tar.gz", "image.tar.zst"} {
				t.Run(name, func(t *testing.T) { b.testCompressed(t, name) })
			}
		})
	}
}

// builtCase is an imageCase, and the image that terrine has made of it.
type builtCase struct {
	imageCase
	docker  *engines.Docker
	desk    *desk
	spec    spec
	closure []string
	archive string // image.tar
	image   lab.Image
}

func (c imageCase) build(t *testing.T) *builtCase {
	t.Helper()
	b := &builtCase{imageCase: c, docker: shared.Docker(t), desk: newDesk(t)}
	top := c.top(t)
	b.closure = engines.Closure(t, top)
	b.spec = spec{"name": "e2e/" + c.name, "tag": "v1", "config": spec{"Cmd": c.cmd(b.closure), "Labels": spec{"top": top}}}
	b.archive, b.image = b.desk.build(b.spec, "image.tar")
	return b
}

// compareLayers tests that the layers of an image hold the closure, each path
// once.
func compareLayers(t *testing.T, sum lab.Image, closure []string) {
	t.Helper()
	var held []string
	for _, l := range sum.Layers {
		held = append(held, l.Paths...)
	}
	slices.Sort(held)
	if want := slices.Sorted(slices.Values(closure)); !slices.Equal(held, want) {
		t.Errorf("the layers hold %d paths\n%q\nthe closure has %d\n%q", len(held), held, len(want), want)
	}
}

func (b *builtCase) testDocuments(t *testing.T) {
	dir := spread(t, b.archive)
	config := checkDocuments(t, dir)
	checkByCrane(t, b.archive, dir)
	for i, l := range b.image.Layers {
		if i >= len(config.RootFS.DiffIDs) || config.RootFS.DiffIDs[i].String() != l.DiffID {
			t.Errorf("--json says that layer %d is %s, the config has %v", i, l.DiffID, config.RootFS.DiffIDs)
		}
	}
}

func (b *builtCase) testDocker(t *testing.T) {
	ref := "e2e/" + b.name + ":v1"
	if refs := b.docker.Load(t, b.archive); !slices.Contains(refs, ref) {
		t.Errorf("docker load names %q, want %s", refs, ref)
	}
	if id := b.docker.Inspect(t, ref).ID; id != b.image.ImageID {
		t.Errorf("docker has the image %s, --json says %s", id, b.image.ImageID)
	}
	if said := b.docker.Run(t, ref); !strings.Contains(said, b.says) {
		t.Errorf("docker run prints %q, want %q in it", said, b.says)
	}
	root := filepath.Join(t.TempDir(), "root")
	b.docker.Export(t, ref, root)
	engines.CheckNARs(t, root, b.closure)
	onlyClosure(t, root, b.closure)
}

// testContainerd imports the archive as OCI: no digest may change.
func (b *builtCase) testContainerd(t *testing.T) {
	containerd := b.docker.Containerd(t)
	ref := "docker.io/e2e/" + b.name + ":v1"
	containerd.Import(t, b.archive)
	if got := containerd.Manifest(t, ref); got != b.image.Digest {
		t.Errorf("containerd has the manifest %s, --json says %s", got, b.image.Digest)
	}
	if said := containerd.Run(t, ref, b.name); !strings.Contains(said, b.says) {
		t.Errorf("ctr run prints %q, want %q in it", said, b.says)
	}
}

// onlyClosure tests that the store in a root file system holds the closure and
// nothing else.
func onlyClosure(t *testing.T, root string, closure []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(root, "nix/store"))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(closure) {
		t.Errorf("the image has %d store paths, the closure %d", len(entries), len(closure))
	}
}

func (b *builtCase) testPodman(t *testing.T) {
	podman := engines.NewPodman(t)
	// It puts a registry before a name without one: localhost to a docker
	// archive, and docker.io to an OCI archive, as containerd does.
	ref := podman.Load(t, b.archive)[0]
	if registry, name, _ := strings.Cut(ref, "/"); name != "e2e/"+b.name+":v1" || registry != "localhost" && registry != "docker.io" {
		t.Errorf("podman load names %s, want e2e/%s:v1", ref, b.name)
	}
	if id, _ := podman.Inspect(t, ref); "sha256:"+id != b.image.ImageID {
		t.Errorf("podman has the image %s, --json says %s", id, b.image.ImageID)
	}
	if said := podman.Run(t, ref); !strings.Contains(said, b.says) {
		t.Errorf("podman run prints %q, want %q in it", said, b.says)
	}
	if b.large {
		return
	}
	root := filepath.Join(t.TempDir(), "root")
	podman.Export(t, ref, root)
	engines.CheckNARs(t, root, b.closure)
}

// testSkopeoUmoci copies the archive in both of its readings. As an OCI archive
// no digest may change; as a docker archive none can stay but the config's.
func (b *builtCase) testSkopeoUmoci(t *testing.T) {
	dir := t.TempDir()
	oci := filepath.Join(dir, "oci")
	engines.CopyExact(t, "oci-archive:"+b.archive, "oci:"+oci+":v1")
	checkDocuments(t, oci)
	if got := manifestDigest(t, oci); got != b.image.Digest {
		t.Errorf("skopeo's copy of the OCI archive has the manifest %s, --json says %s", got, b.image.Digest)
	}
	flat := filepath.Join(dir, "flat")
	engines.Copy(t, "docker-archive:"+b.archive, "dir:"+flat)
	var manifest struct {
		Config struct{ Digest string }
	}
	lab.Decode(t, readFile(t, flat, "manifest.json"), &manifest)
	if manifest.Config.Digest != b.image.ImageID {
		t.Errorf("skopeo's copy of the docker archive has the config %s, --json says %s", manifest.Config.Digest, b.image.ImageID)
	}
	root := engines.Unpack(t, oci, "v1")
	engines.CheckNARs(t, root, b.closure)
	onlyClosure(t, root, b.closure)
}

// manifestDigest returns the digest of the one manifest of a layout.
func manifestDigest(t *testing.T, dir string) string {
	t.Helper()
	var index struct {
		Manifests []struct{ Digest string }
	}
	lab.Decode(t, readFile(t, dir, "index.json"), &index)
	if len(index.Manifests) != 1 {
		t.Fatalf("%s has %d manifests", dir, len(index.Manifests))
	}
	return index.Manifests[0].Digest
}

// testCompressed builds the image again, compressed: what the other programs of
// the machine make of it is the archive that is not compressed.
func (b *builtCase) testCompressed(t *testing.T, name string) {
	archive, compressed := b.desk.build(b.spec, name)
	if compressed.ImageID != b.image.ImageID {
		t.Errorf("%s has the image %s, image.tar %s", name, compressed.ImageID, b.image.ImageID)
	}
	tool := map[string]string{".gz": "gzip", ".zst": "zstd"}[filepath.Ext(archive)]
	need.Programs(t, tool)
	decompressed := sha256.New()
	decompress := exec.Command(tool, "-dc", archive)
	decompress.Stdout = decompressed
	if r := engines.Try(t, decompress); r.Code != 0 {
		t.Fatalf("%s -dc: exit code %d: %s", tool, r.Code, r.Stderr)
	}
	if got, want := hex.EncodeToString(decompressed.Sum(nil)), lab.FileDigest(t, b.archive); got != want {
		t.Errorf("%s decompressed has the sha256 %s, image.tar %s", name, got, want)
	}
	refs := b.docker.Load(t, archive)
	if said := b.docker.Run(t, refs[0]); !strings.Contains(said, b.says) {
		t.Errorf("docker run prints %q, want %q in it", said, b.says)
	}
	if strings.HasSuffix(name, ".gz") {
		podman := engines.NewPodman(t)
		podman.Run(t, podman.Load(t, archive)[0])
		// Not as a docker archive: of these skopeo 1.9 takes none that is
		// compressed, not even docker's own.
		engines.CopyExact(t, "oci-archive:"+archive, "dir:"+filepath.Join(t.TempDir(), "flat"))
	}
}
