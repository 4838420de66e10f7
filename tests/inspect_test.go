package tests

import (
	"path/filepath"
	"slices"
	"testing"

	"terrine/tests/engines"
	"terrine/tests/fixtures"
	"terrine/tests/lab"
)

// inspected is what `inspect --json` prints.
type inspected struct {
	Names   []string    `json:"names"`
	Digest  string      `json:"digest"`
	ImageID string      `json:"imageID"`
	Layers  []lab.Layer `json:"layers"`
}

// TestInspect has an image copied, loaded and saved by other programs, and
// finds the same image in each of the archives that they write.
func TestInspect(t *testing.T) {
	d := newDesk(t)
	closure := fixtures.Debian(t, fixtures.Small...)
	archive, sum := d.build(spec{"name": "inspected/it", "tag": "1", "contents": []string{closure}, "maxLayers": 5}, "image.tar.gz")
	d.checkInspected(archive, sum)
	if got := d.inspect(archive); got.Digest != sum.Digest || !slices.Equal(got.Names, []string{"inspected/it:1"}) {
		t.Errorf("inspect of terrine's own: %s %v, want %s inspected/it:1", got.Digest, got.Names, sum.Digest)
	}
	plain, _ := d.build(spec{"name": "inspected/it", "tag": "1", "contents": []string{closure}, "maxLayers": 5}, "plain.tar")
	t.Run("skopeo", func(t *testing.T) {
		for _, format := range []string{"docker-archive", "oci-archive"} {
			file := d.Path(format + ".tar")
			engines.Copy(t, "oci-archive:"+plain, format+":"+file+":inspected/it:1")
			d.checkInspected(file, sum)
		}
	})
	t.Run("podman", func(t *testing.T) {
		podman := engines.NewPodman(t)
		ref := podman.Load(t, archive)[0]
		for _, format := range []string{"docker-archive", "oci-archive"} {
			file := filepath.Join(t.TempDir(), format+".tar")
			engines.Run(t, podman.Command(t.Context(), "save", "--quiet", "--format", format, "--output", file, ref))
			d.checkInspected(file, sum)
		}
	})
	t.Run("containerd", func(t *testing.T) {
		containerd := shared.Docker(t).Containerd(t)
		containerd.Import(t, plain)
		file := filepath.Join(t.TempDir(), "exported.tar")
		engines.Run(t, containerd.Command(t.Context(), "images", "export", file, "docker.io/inspected/it:1"))
		d.checkInspected(file, sum)
		if got := d.inspect(file); got.Digest != sum.Digest {
			t.Errorf("containerd exports the manifest %s, want %s", got.Digest, sum.Digest)
		}
	})
	t.Run("docker", func(t *testing.T) {
		docker := shared.Docker(t)
		ref := docker.Load(t, archive)[0]
		file := filepath.Join(t.TempDir(), "saved.tar")
		engines.Run(t, docker.Command(t.Context(), "save", "--output", file, ref))
		d.checkInspected(file, sum)
	})
}

func (d *desk) inspect(file string) inspected {
	d.t.Helper()
	var got inspected
	lab.Decode(d.t, d.Run("inspect", file, "--json"), &got)
	return got
}

// checkInspected compares what inspect finds in an archive with what build
// said of the image.
func (d *desk) checkInspected(file string, want lab.Image) {
	d.t.Helper()
	got := d.inspect(file)
	if got.ImageID != want.ImageID || len(got.Layers) != len(want.Layers) {
		d.t.Fatalf("%s: image %s with %d layers, want %s with %d", filepath.Base(file), got.ImageID, len(got.Layers), want.ImageID, len(want.Layers))
	}
	for i, l := range got.Layers {
		if l.DiffID != want.Layers[i].DiffID || !slices.Equal(slices.Sorted(slices.Values(l.Paths)), slices.Sorted(slices.Values(want.Layers[i].Paths))) {
			d.t.Errorf("%s: layer %d is %s with %v, want %s with %v", filepath.Base(file), i, l.DiffID, l.Paths, want.Layers[i].DiffID, want.Layers[i].Paths)
		}
	}
}
