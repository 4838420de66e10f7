package cli

import (
	"strings"
	"testing"

	"terrine/builder/inspect"
)

func TestChooseImage(t *testing.T) {
	image := func(name, arch, variant string) inspect.Image {
		i := inspect.Image{Names: []string{name}}
		i.OS, i.Architecture, i.Variant = "linux", arch, variant
		return i
	}
	images := []inspect.Image{
		image("a", "amd64", ""), image("b", "arm64", "v8"), image("c", "arm", "v6"), image("d", "arm", "v7"),
		image("e", "riscv64", ""), image("f", "riscv64", "rva23"),
	}
	for name, want := range map[string]string{
		"a": "a", "linux/amd64": "a", "linux/arm64/v8": "b", "linux/arm/v7": "d", "linux/riscv64/rva23": "f",
		"linux/arm64": "b", "linux/riscv64": "e",
		"linux/arm": "2 images", "linux": "no image", "linux/arm64/v9": "no image", "arm64": "no image", "": "6 images",
	} {
		got, err := chooseImage(images, name)
		if err != nil && !strings.HasPrefix(err.Error(), want) || err == nil && got.Names[0] != want {
			t.Errorf("chooseImage(%q) = %v, %v; want %s", name, got, err, want)
		}
	}
}
