package nix

import (
	"errors"
	"math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"terrine/tests/engines"
)

// behaviour is one of those that nixpkgs' tests assert of dockerTools, by its
// number in the list of 78. Its image is the row of that number in images.nix.
type behaviour struct {
	n      string
	phrase string
	check  func(*testing.T, *image)
}

// TestDockerTools is the table of behaviours, one subtest a row.
func TestDockerTools(t *testing.T) {
	endToEnd(t)
	docker := shared.Docker(t)
	port := freePort(t)
	e := imagesNix(t, port)
	rows := behaviours(port)
	var attributes []string
	for _, b := range rows {
		attributes = append(attributes, "rows."+b.n)
	}
	outputs := e.build(t, attributes...)
	t.Cleanup(func() { forget(t, outputs) })
	var references, paths map[string]string
	e.eval(t, "references", &references)
	e.eval(t, "paths", &paths)
	paths["d22"] = outputs[slices.Index(attributes, "rows.D22")]
	t.Run("rows", func(t *testing.T) {
		for k, b := range rows {
			t.Run(b.n+" "+b.phrase, func(t *testing.T) {
				t.Parallel()
				i := &image{docker: docker, paths: paths, output: outputs[k], want: references[b.n]}
				i.load(t)
				if i.ref != i.want {
					t.Errorf("docker load names %s, nix %s", i.ref, i.want)
				}
				b.check(t, i)
			})
		}
	})
}

// freePort returns a port that nobody listens on. It is none of those that the
// system gives to whoever asks for any, since it is not used until images are built.
func freePort(t *testing.T) string {
	t.Helper()
	for {
		port := strconv.Itoa(20_000 + rand.IntN(10_000))
		l, err := net.Listen("tcp", ":"+port)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err == nil {
			err = l.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		return port
	}
}

const greeting = "Hello, world!"

func behaviours(port string) []behaviour {
	return slices.Concat(runRows(port), tagRows(), storeRows(), commandRows(), nixRows(), platformRows())
}

// runRows are about images that run, or do not.
func runRows(port string) []behaviour {
	greets := prints(greeting)
	return []behaviour{
		{"D1", "streamed: a program of the contents runs", greets},
		{"D2", "without store paths it cannot run, nothing is in its store, and it runs with the store mounted (D4, D6)", withoutStore},
		{"D3", "the same with commands in a chroot (D5, D7)", both(withoutStore, func(t *testing.T, i *image) {
			t.Helper()
			root := export(t, i)
			if text := read(t, root, "etc/made"); text != "chroot\n" {
				t.Errorf("/etc/made has %q", text)
			}
		})},
		{"D9", "buildImage: bash runs", func(t *testing.T, i *image) {
			if said := i.run(t, "/bin/bash", "--version"); !strings.HasPrefix(said, "GNU bash, version") {
				t.Errorf("it prints %q", said)
			}
		}},
		{"D15", "buildImage compressed by zstd", greets},
		{"D16", "buildImage not compressed", greets},
		{"D17", "buildLayeredImage not compressed", greets},
		{"D18", "buildLayeredImage compressed by zstd", greets},
		{"D20", "runs as user 999, who can enter the store", prints("999 755 755", "/bin/sh", "-c", `echo $(id -u) $(stat -c %a /nix) $(stat -c %a /nix/store)`)},
		{"D24", "nginx serves a page", func(t *testing.T, i *image) { serves(t, i, port) }},
		{"D29", "a file of extraCommands can be read", prints("layered content")},
		{"D78", "runs as root and as 1000:1000 on overlay2", func(t *testing.T, i *image) {
			if got := strings.TrimSpace(i.docker.Run(t, i.ref, "/bin/id", "-u")); got != "0" {
				t.Errorf("it is user %s", got)
			}
			if got := strings.TrimSpace(i.docker.Run(t, "--user", "1000:1000", i.ref, "/bin/id", "-g")); got != "1000" {
				t.Errorf("it is group %s", got)
			}
		}},
	}
}

// withoutStore tests an image that has no store paths.
func withoutStore(t *testing.T, i *image) {
	t.Helper()
	if r := engines.Try(t, i.docker.RunCommand(t.Context(), i.ref)); r.Code == 0 {
		t.Errorf("it runs without a store, and prints %q", r.Stdout)
	}
	if got := strings.TrimSpace(i.docker.Run(t, "--volume", "/nix/store:/nix/store:ro", i.ref)); got != greeting {
		t.Errorf("with the store mounted it prints %q", got)
	}
	if found, _ := filepath.Glob(filepath.Join(export(t, i), "nix/store/*")); len(found) > 0 {
		t.Errorf("there are store paths in it: %q", found)
	}
}

// tagRows are about names and tags, that docker must list as nix knows them.
func tagRows() []behaviour {
	return []behaviour{
		{"D10", "buildImage with a tag", listed},
		{"D11", "buildImage without a tag", both(listed, hashTag)},
		{"D12", "buildLayeredImage without a tag", both(listed, hashTag)},
		{"D13", "streamLayeredImage without a tag", both(listed, hashTag)},
		{"D14", "buildLayeredImageWithNixDb without a tag", both(listed, hashTag)},
		{"D47", "buildImage with a registry before the name", both(listed, named("registry-1.docker.io/nix/d47:latest"))},
		{"D48", "buildLayeredImage with a registry before the name", both(listed, named("registry-1.docker.io/nix/d48:latest"))},
	}
}

func named(ref string) func(*testing.T, *image) {
	return func(t *testing.T, i *image) {
		t.Helper()
		if i.ref != ref {
			t.Errorf("it is called %s, want %s", i.ref, ref)
		}
	}
}

// hashTag tests that the tag is the hash part of a store path.
func hashTag(t *testing.T, i *image) {
	t.Helper()
	_, tag, _ := strings.Cut(i.ref, ":")
	if len(tag) != 32 || strings.Trim(tag, "0123456789abcdfghijklmnpqrsvwxyz") != "" {
		t.Errorf("the tag is %q", tag)
	}
}

// storeRows are about what is in the store and the root layer.
func storeRows() []behaviour {
	twins := prints("nix\n"+greeting, "/bin/sh", "-c", `readlink $(readlink /bin/nix-daemon); /bin/nix-daemon`)
	return []behaviour{
		{"D21", "buildImage: a symlink between programs stays", twins},
		{"D22", "buildLayeredImage: a symlink between programs stays", twins},
		{"D32", "images with a common closure share a layer", func(t *testing.T, i *image) {
			other := &image{docker: i.docker, output: i.paths["d22"]}
			other.load(t)
			mine, theirs := i.inspect(t).RootFS.Layers, other.inspect(t).RootFS.Layers
			if !slices.ContainsFunc(mine, func(l string) bool { return slices.Contains(theirs, l) }) {
				t.Errorf("the images share no layer: %q and %q", mine, theirs)
			}
		}},
		{"D39", "at most two layers", both(layers(2), prints(greeting))},
		{"D40", "more paths than layers, and none is missing", both(prints(greeting), func(t *testing.T, i *image) {
			if n := len(i.inspect(t).RootFS.Layers); n > 20 {
				t.Errorf("it has %d layers", n)
			}
			storeHas(t, i, engines.Closure(t, i.paths["crowd"], i.paths["busybox"]))
		})},
		{"D42", "without contents it has just the path that the commands mention", func(t *testing.T, i *image) {
			prints(filepath.Base(i.paths["busybox"]))(t, i)
		}},
		{"D46", "a store path that is a symlink stays one", func(t *testing.T, i *image) {
			prints(greeting)(t, i)
			prints(i.paths["hello"], "/bin/readlink", i.paths["symlink-path"])(t, i)
		}},
		{"D58", "buildImage: a bare path is in the root", prints("hello from a bare path")},
		{"D59", "streamLayeredImage: a bare path is in the root", prints("hello from a bare path")},
		{"D63", "three places for certificates, a shell and env", func(t *testing.T, i *image) {
			const bundle = "a bundle of certificates"
			prints(strings.TrimSpace(strings.Repeat(bundle+"\n", 3)), "/bin/sh", "-c",
				"cat /etc/ssl/certs/ca-bundle.crt /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt")(t, i)
			prints("yes", "/usr/bin/env", "/bin/echo", "yes")(t, i)
		}},
		{"D76", "files of the store belong to uid and gid 1000", prints("1000:1000", "/bin/sh", "-c",
			`find /nix | while read -r f; do stat -c %u:%g "$f"; done | sort -u`)},
	}
}

// layers tests that the image has n layers, none of them twice.
func layers(n int) func(*testing.T, *image) {
	return func(t *testing.T, i *image) {
		t.Helper()
		found := i.inspect(t).RootFS.Layers
		slices.Sort(found)
		if distinct := slices.Compact(slices.Clone(found)); len(found) != n || len(distinct) != n {
			t.Errorf("it has %d layers, %d distinct ones: want %d", len(found), len(distinct), n)
		}
	}
}

// storeHas tests that the store of the image has these paths, and no others.
func storeHas(t *testing.T, i *image, want []string) {
	t.Helper()
	var names []string
	for _, p := range want {
		names = append(names, filepath.Base(p))
	}
	slices.Sort(names)
	got := strings.Fields(i.run(t, "/bin/ls", "/nix/store"))
	slices.Sort(got)
	if !slices.Equal(got, names) {
		t.Errorf("the store of the image has %d paths, want %d", len(got), len(names))
	}
}

// commandRows are about commands.
func commandRows() []behaviour {
	stat := func(want string, files ...string) func(*testing.T, *image) {
		return prints(want, append([]string{"/bin/stat", "-c", "%u:%g:%a"}, files...)...)
	}
	return []behaviour{
		{"D26", "runAsRoot and extraCommands with parentheses", both(
			prints("runAsRoot\nextraCommand", "/bin/cat", "/runAsRoot", "/extraCommands"), stat("7:8:644", "/runAsRoot"))},
		{"D49", "owners that fakeRootCommands give", stat("1000:100:755\n0:0:644\n0:0:1777\n7:0:1777", "/home/alice", "/home/alice/f", "/home", "/nix/store")},
		{"D54", "a store path that only fakeRootCommands mention is there", prints(greeting)},
		{"D57", "absolute paths in a chroot are those of the image", prints(greeting)},
		{"D75", "owners that are given in a chroot", stat("12345:12345:755\n12345:12345:755", "/foo", "/foo/bar")},
	}
}

// nixRows are about images with a nix and its database.
func nixRows() []behaviour {
	references := func(t *testing.T, i *image) {
		t.Helper()
		bash := resolve(t, i, "/bin/bash")
		want := engines.Nix(t, "nix-store", "--query", "--references", bash)
		got := strings.Fields(i.run(t, "/usr/bin/nix-store", "--query", "--references", bash))
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) || len(want) == 0 {
			t.Errorf("the references of bash are %q, want %q", got, want)
		}
	}
	return []behaviour{
		{"D19", "buildImageWithNixDb: nix knows its closure", func(t *testing.T, i *image) {
			want := engines.Closure(t, i.paths["nix"])
			got := strings.Fields(i.run(t, "/usr/bin/nix-store", "--query", "--requisites", i.paths["nix"]))
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("the closure of nix has %d paths, want %d", len(got), len(want))
			}
		}},
		{"D43", "buildLayeredImageWithNixDb: nix verifies the store (D44: a store path that is a file can be read)", verified},
		{"D64", "buildImageWithNixDb: nix knows references", references},
		{"D65", "streamLayeredImage with includeNixDB: nix knows references", references},
	}
}

// verified has nix look at the contents of every store path of the image.
func verified(t *testing.T, i *image) {
	t.Helper()
	prints("some data", "/bin/cat", i.paths["plain-file"])(t, i)
	const script = `set -eu
nix-store --verify --check-contents 2>&1
nix-store --query --hash "$1" "$2"
# What is in the store is registered, and is kept.
for p in /nix/store/*; do nix-store --check-validity "$p" || echo "$p is not valid"; done
nix-store --gc --print-dead 2>/dev/null`
	said := i.run(t, "/bin/bash", "-c", script, "bash", i.paths["plain-file"], i.paths["greet"])
	want := strings.Join(engines.Nix(t, "nix-store", "--query", "--hash", i.paths["plain-file"], i.paths["greet"]), "\n")
	if !strings.HasSuffix(said, want) || strings.Contains(said, "not valid") || strings.Contains(said, "error:") || !strings.Contains(said, "checking store hashes") {
		t.Errorf("nix says\n%s\nwant at the end\n%s", said, want)
	}
}

// resolve returns the store path that a file of the image links to.
func resolve(t *testing.T, i *image, file string) string {
	t.Helper()
	parts := strings.Split(i.run(t, "/bin/readlink", "-f", file), "/")
	if len(parts) < 4 {
		t.Fatalf("%s leads to %q", file, parts)
	}
	return strings.Join(parts[:4], "/")
}

// platformRows are about the config.
func platformRows() []behaviour {
	arch := func(want string) func(*testing.T, *image) {
		return func(t *testing.T, i *image) {
			t.Helper()
			if found := i.inspect(t); found.Architecture != want || found.Os != "linux" {
				t.Errorf("it is for %s/%s, want %s", found.Os, found.Architecture, want)
			}
		}
	}
	hello386 := both(arch("386"), prints("Hello from 386"))
	return []behaviour{
		{"D8", "created one second after the epoch", func(t *testing.T, i *image) {
			if created := i.inspect(t).Created; created.Unix() != 1 {
				t.Errorf("created %v", created)
			}
		}},
		{"D27", "buildImage created now", createdNow},
		{"D28", "buildLayeredImage created now", createdNow},
		{"D45", "buildImage of cross-built contents", arch("arm64")},
		{"D60", "buildImage for another architecture", arch("arm64")},
		{"D61", "streamLayeredImage for another architecture", arch("arm64")},
		{"D77", "cross-built contents run on the machine they are for", hello386},
		{"D77-one-layer", "the same with buildImage", hello386},
	}
}
