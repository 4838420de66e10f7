package inspect

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// TestImagesShareTheirConfig: many images may have one large config, which is held
// and taken apart once.
func TestImagesShareTheirConfig(t *testing.T) {
	const size, n = 2 << 20, 100
	list := make([]dockerImage, n)
	for i := range list {
		list[i] = dockerImage{Config: "config.json", RepoTags: []string{fmt.Sprintf("s:%d", i)}}
	}
	archive := makeTar(t, file{name: "config.json", text: `{"config":{"x":"` + strings.Repeat("x", size) + `"}}`},
		file{name: "manifest.json", text: marshal(t, list)})
	before := heap()
	images, err := Read(t.Context(), bytes.NewReader(archive))
	if err != nil || len(images) != n || len(images[n-1].Config) < size {
		t.Fatalf("%d images: %v", len(images), err)
	}
	if grown := heap() - before; grown > 10*size {
		t.Errorf("%d images with one config of %d bytes take %d", n, size, grown)
	}
	runtime.KeepAlive(archive)
	runtime.KeepAlive(images)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestLongNames: what is kept of names is bounded, however well they compress.
func TestLongNames(t *testing.T) {
	dir := strings.Repeat("d/", maxName/2-20)
	files := make([]file, maxNames/len(dir)+1)
	for i := range files {
		files[i].name = dir + fmt.Sprintf("%032d-n", i)
	}
	tar := makeTar(t, files...)
	_, err := scan(bytes.NewReader(tar), nil)
	_, layerErr := (&archive{}).readLayer(bytes.NewReader(tar))
	if !errors.Is(err, errManyNames) || !errors.Is(layerErr, errManyNames) {
		t.Errorf("members: %v; store paths: %v", err, layerErr)
	}
}

// TestStorePathsAreKeptAlone, and not with the rest of the first name below them.
func TestStorePathsAreKeptAlone(t *testing.T) {
	const n = 2000
	var layer []file
	for i := range n {
		layer = append(layer, file{name: fmt.Sprintf("gnu/store/%032d-n/", i) + strings.Repeat("d/", 2000)})
	}
	tar := makeTar(t, layer...)
	before := heap()
	a := &archive{}
	l, err := a.readLayer(bytes.NewReader(tar))
	if err != nil || len(l.paths) != n {
		t.Fatal(err)
	}
	if grown := heap() - before; grown > n*1000 {
		t.Errorf("%d store paths take %d bytes", n, grown)
	}
	runtime.KeepAlive(tar)
	runtime.KeepAlive(l)
}
