package memo

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"terrine/tests/engines"
	"terrine/tests/fixtures"
	"terrine/tests/lab"
	"terrine/tests/need"
)

// archives are one image in all forms that are spliced from cached parts, by
// file name.
type archives struct {
	d     *desk
	id    string // of the image
	plain string // digest of image.tar
	files map[string]string
}

// forms are the file names of archives, and the flags that make them.
func forms() map[string][]string {
	return map[string][]string{
		"image.tar":         nil,
		"image.tar.gz":      nil,
		"image.tar.zst":     nil,
		"layers-gzip.tar":   {"--layer-compression", "gzip"},
		"layers-zstd.tar":   {"--layer-compression", "zstd"},
		"one-member.tar.gz": {"--gzip-members", "one"},
	}
}

// splice builds each form twice, the second time from the cache.
func splice(t *testing.T) *archives {
	t.Helper()
	d := newDesk(t)
	top, hello := fixtures.Debian(t, fixtures.Small...), fixtures.Build(t, "hello")[0]
	s := d.WriteSpec(spec{"name": "spliced", "tag": "v1", "contents": []string{hello},
		"config": spec{"Cmd": []string{"/bin/hello"}, "Env": []string{"TOP=" + top}}})
	a := &archives{d: d, files: map[string]string{}}
	for name, flags := range forms() {
		file, first := d.build(s, name, flags...)
		sum := lab.FileDigest(t, file)
		if _, again := d.build(s, name, flags...); again.Digest != first.Digest || lab.FileDigest(t, file) != sum {
			t.Errorf("%s from the cache has other bytes", name)
		}
		a.files[name] = file
		if name == "image.tar" {
			a.id, a.plain = first.ImageID, sum
		}
	}
	return a
}

// TestReadersOfSpliced gives what is spliced to everything here that reads it
// (S19).
func TestReadersOfSpliced(t *testing.T) {
	a := splice(t)
	t.Run("decompressors", func(t *testing.T) { testDecompressors(t, a) })
	t.Run("tar readers", func(t *testing.T) { testTarReaders(t, a) })
	t.Run("engines", func(t *testing.T) { testEngines(t, a) })
}

// testDecompressors: each must find image.tar in it, whole.
func testDecompressors(t *testing.T, a *archives) {
	const python = `import gzip, shutil, sys; shutil.copyfileobj(gzip.open(sys.argv[1]), sys.stdout.buffer)`
	for name, tools := range map[string]map[string][]string{
		"image.tar.gz": {
			"GNU gzip": {"gzip", "-dc"},
			"pigz":     {"pigz", "-dc"},
			"python":   {"python3", "-c", python},
			"busybox":  {"busybox", "gzip", "-dc"},
		},
		"image.tar.zst":     {"zstd": {"zstd", "-dcq"}},
		"one-member.tar.gz": {"GNU gzip": {"gzip", "-dc"}, "pigz": {"pigz", "-dc"}},
	} {
		for tool, line := range tools {
			t.Run(name+" by "+tool, func(t *testing.T) {
				need.Programs(t, line[0])
				if got := a.decompressed(t, name, line...); got != a.plain {
					t.Errorf("it finds an archive with the sha256 %s, image.tar has %s", got, a.plain)
				}
			})
		}
	}
	t.Run("image.tar.gz by libarchive", func(t *testing.T) { listByLibarchive(t, a, "image.tar.gz") })
	t.Run("image.tar.zst by libarchive", func(t *testing.T) { listByLibarchive(t, a, "image.tar.zst") })
	t.Run("image.tar.gz by Go", func(t *testing.T) {
		if got := lab.Digest(t, inflated(t, a.files["image.tar.gz"], true)); got != a.plain {
			t.Errorf("it finds an archive with the sha256 %s, image.tar has %s", got, a.plain)
		}
	})
	t.Run("the first member of one-member.tar.gz", func(t *testing.T) {
		if got := lab.Digest(t, inflated(t, a.files["one-member.tar.gz"], false)); got != a.plain {
			t.Errorf("a reader that stops after it finds %s, image.tar is %s", got, a.plain)
		}
	})
}

// decompressed returns the digest of what a tool writes that is given a file.
func (a *archives) decompressed(t *testing.T, name string, line ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), line[0], append(line[1:], a.files[name])...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	got := lab.Digest(t, out)
	if err := cmd.Wait(); err != nil || said.Len() > 0 {
		t.Fatalf("%s: %v\n%s", cmd, err, said.String())
	}
	return got
}

// inflated reads a gzip file by Go, all of it or its first member.
func inflated(t *testing.T, file string, all bool) io.Reader {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	z.Multistream(all)
	return z
}

// listByLibarchive compares what libarchive lists of an archive with what Go
// reads in image.tar.
func listByLibarchive(t *testing.T, a *archives, name string) {
	t.Helper()
	need.Programs(t, "bsdtar")
	got := strings.Fields(engines.Run(t, exec.CommandContext(t.Context(), "bsdtar", "-tf", a.files[name])))
	if want := members(t, a.files["image.tar"]); !slices.Equal(got, want) {
		t.Errorf("it lists %q, want %q", got, want)
	}
}

func members(t *testing.T, file string) (names []string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err == io.EOF {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
}

// testTarReaders: a layer that is compressed part by part is a .tar.gz or .tar.zst
// to whoever reads those.
func testTarReaders(t *testing.T, a *archives) {
	const python = `import sys, tarfile
for m in tarfile.open(sys.argv[1]): print(m.name + "/" * m.isdir())`
	for _, c := range []struct {
		archive string
		tools   map[string][]string
	}{
		{"layers-gzip.tar", map[string][]string{
			"GNU tar": {"tar", "-tzf"}, "libarchive": {"bsdtar", "-tf"}, "python": {"python3", "-c", python},
		}},
		{"layers-zstd.tar", map[string][]string{"GNU tar": {"tar", "--zstd", "-tf"}, "libarchive": {"bsdtar", "-tf"}}},
	} {
		dir := t.TempDir()
		engines.Run(t, exec.CommandContext(t.Context(), "tar", "-xf", a.files[c.archive], "-C", dir))
		plain := t.TempDir()
		engines.Run(t, exec.CommandContext(t.Context(), "tar", "-xf", a.files["image.tar"], "-C", plain))
		want := layerMembers(t, plain, []string{"tar", "-tf"})
		for tool, line := range c.tools {
			t.Run(c.archive+" by "+tool, func(t *testing.T) {
				need.Programs(t, line[0])
				if got := layerMembers(t, dir, line); !slices.Equal(got, want) {
					t.Errorf("it lists %d entries, GNU tar of the plain layers %d", len(got), len(want))
				}
			})
		}
	}
}

// layerMembers returns what a tool lists of the layers of an unpacked archive,
// bottom first.
func layerMembers(t *testing.T, dir string, line []string) (names []string) {
	t.Helper()
	need.Programs(t, line[0])
	var manifest []struct{ Layers []string }
	readJSON(t, filepath.Join(dir, "manifest.json"), &manifest)
	for _, layer := range manifest[0].Layers {
		cmd := exec.CommandContext(t.Context(), line[0], append(line[1:], filepath.Join(dir, layer))...)
		names = append(names, strings.Fields(engines.Run(t, cmd))...)
	}
	if len(names) == 0 {
		t.Fatal("the layers are empty")
	}
	return names
}

// testEngines leaves out what the engines of Debian 12 take from nobody: docker
// 20.10 and umoci 0.4 know no zstd, and skopeo 1.9 reads no docker-archive with
// anything compressed in it, not even its own.
func testEngines(t *testing.T, a *archives) {
	const greeting = "Hello, world!\n"
	for _, name := range []string{"image.tar.gz", "one-member.tar.gz", "layers-gzip.tar"} {
		t.Run("docker loads "+name, func(t *testing.T) {
			docker := shared.Docker(t)
			ref := docker.Load(t, a.files[name])[0]
			if said := docker.Run(t, ref); said != greeting {
				t.Errorf("docker run prints %q", said)
			}
			engines.Run(t, docker.Command(t.Context(), "image", "rm", "--force", ref))
		})
	}
	podman := sync.OnceValue(func() *engines.Podman { return engines.NewPodman(t) })
	for _, name := range []string{"image.tar.gz", "one-member.tar.gz", "layers-gzip.tar", "layers-zstd.tar"} {
		t.Run("podman loads "+name, func(t *testing.T) {
			ref := podman().Load(t, a.files[name])[0]
			if said := podman().Run(t, ref); said != greeting {
				t.Errorf("podman run prints %q", said)
			}
			engines.Run(t, podman().Command(context.Background(), "image", "rm", "--force", ref))
		})
	}
	for _, name := range []string{"image.tar.gz", "layers-gzip.tar", "layers-zstd.tar"} {
		t.Run("skopeo copies "+name, func(t *testing.T) {
			layout := filepath.Join(t.TempDir(), "layout")
			engines.CopyExact(t, "oci-archive:"+a.files[name], "oci:"+layout+":v1")
			if name != "layers-zstd.tar" {
				root := engines.Unpack(t, layout, "v1")
				engines.CheckNARs(t, root, engines.Closure(t, fixtures.Debian(t, fixtures.Small...)))
			}
		})
	}
}
