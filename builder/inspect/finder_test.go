package inspect

import (
	"archive/tar"
	"testing"
)

// TestRootsAreNoStorePaths: images with Nix's database have links to their store paths.
func TestRootsAreNoStorePaths(t *testing.T) {
	var f finder
	const root = "nix/var/nix/gcroots/docker/" + hashA + "-a"
	if at := f.add(&tar.Header{Name: root, Typeflag: tar.TypeSymlink, Linkname: "/nix/store/" + hashA + "-a"}); at != "" || len(f.paths) > 0 {
		t.Errorf("a root is taken for the store path %q", at)
	}
	object := "/nix/store/" + hashA + "-a"
	if at := f.add(&tar.Header{Name: object[1:], Typeflag: tar.TypeSymlink, Linkname: "/nix/store/" + hashA + "-b"}); at != object {
		t.Errorf("a store path that is a link is taken for %q", at)
	}
}
