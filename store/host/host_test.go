package host_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"terrine/store"
	"terrine/store/fault"
	"terrine/store/host"
	"terrine/tests/need"
)

// The files in testdata were made with nix 2.8.0 from one closure:
//
//	registration  nix-store --dump-db $(nix-store -qR /nix/store/…-coreutils-9.1-1)
//	attrs.json    the .attrs.json of derivation { …; __structuredAttrs = true;
//	              exportReferencesGraph.closure = [ coreutils ]; exportReferencesGraph.libc = [ libc6 ]; }
//	path-info.json  nix path-info --json -r /nix/store/…-coreutils-9.1-1
//	path-info-object.json  the same in the form of nix 2.19: jq -c 'map({(.path): del(.path)}) | add'
//	graph         the file "graph" of derivation { …; exportReferencesGraph = [ "graph" coreutils ]; }
const coreutils = "/nix/store/g8gyqhhzpm0d7x1idglhj5qsknh7mz3k-coreutils-9.1-1"

func open(t *testing.T, name string) []*store.Info {
	t.Helper()
	closure, err := host.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return closure.Infos()
}

// withoutDerivers copies infos: the graph of nix 2.8 names no derivers.
func withoutDerivers(infos []*store.Info) []*store.Info {
	var list []*store.Info
	for _, i := range infos {
		c := *i
		c.Deriver = ""
		list = append(list, &c)
	}
	return list
}

func TestGraphAndRegistrationSayTheSame(t *testing.T) {
	reg := open(t, "testdata/registration")
	graph := open(t, "testdata/attrs.json#closure")
	if diff := cmp.Diff(withoutDerivers(reg), graph); diff != "" {
		t.Errorf("registration and graph differ (-registration +graph):\n%s", diff)
	}
	if len(reg) != 8 {
		t.Errorf("%d paths; want 8", len(reg))
	}
	for _, i := range reg {
		if i.Path == coreutils {
			want := "sha256:0j3hjzn7hpkwq9h5f2fsy25rjhn0q6bk77gj6zi4k11ixrrwbjgg"
			if got := store.FormatHash(i.NARHash); got != want || i.NARSize != 18273416 || len(i.References) != 5 {
				t.Errorf("coreutils: %s, %d bytes, %d references; want %s, 18273416, 5", got, i.NARSize, len(i.References), want)
			}
		}
	}
}

func TestQueryAsksTheRealNix(t *testing.T) {
	need.HostNix(t)
	out, err := exec.Command("nix-store", "--add", "testdata/graph").Output()
	if err != nil {
		t.Fatal(err)
	}
	path, err := store.ParsePath(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := host.Query(t.Context(), []store.Path{path})
	if err != nil {
		t.Fatal(err)
	}
	dump, err := exec.Command("nix-store", "--dump-db", string(path)).Output()
	if err != nil {
		t.Fatal(err)
	}
	want, err := host.ParseRegistration(strings.NewReader(string(dump)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" || len(got) != 1 {
		t.Errorf("Query differs from --dump-db (-want +got):\n%s", diff)
	}
}

func TestQueryOfInvalidPathIsNotFound(t *testing.T) {
	need.HostNix(t)
	_, err := host.Query(t.Context(), []store.Path{"/nix/store/00000000000000000000000000000000-none"})
	if !errors.Is(err, store.ErrNotFound) || !strings.Contains(err.Error(), "00000000000000000000000000000000-none") {
		t.Errorf("Query = %v; want ErrNotFound naming the path", err)
	}
}

func TestQueryWithoutNixStoreSaysSo(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := host.Query(t.Context(), []store.Path{coreutils})
	if !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("Query = %v; want exec.ErrNotFound", err)
	}
}

// fakeNix puts programs called nix and nix-store first on PATH.
func fakeNix(t *testing.T, nix, nixStore string) {
	t.Helper()
	dir := t.TempDir()
	for name, script := range map[string]string{"nix": nix, "nix-store": nixStore} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// TestQueryTakesWhatNixSays: both forms of path-info give what nix-store gives, and
// what is neither, or is no closure of the roots, is not taken.
func TestQueryTakesWhatNixSays(t *testing.T) {
	want := open(t, "testdata/registration")
	here, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	const asked = "echo nix-store was asked >&2; exit 1"
	for _, form := range []string{"path-info.json", "path-info-object.json"} {
		fakeNix(t, "cat "+filepath.Join(here, form), asked)
		got, err := host.Query(t.Context(), []store.Path{coreutils})
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-registration +got):\n%s", form, err, diff)
		}
	}
	for _, nix := range []string{
		"exit 1", "true", "echo 7", "echo []", "echo {}", "yes [", `echo '{"` + coreutils + `": null}'`,
		"head -c 1000 " + filepath.Join(here, "path-info.json"),
		"head -c 1000 " + filepath.Join(here, "path-info-object.json"),
		"cat " + filepath.Join(here, "path-info-object.json") + "; echo {}",
		"cat " + filepath.Join(here, "path-info.json") + "; exit 1",
	} {
		fakeNix(t, nix, asked)
		if _, err := host.Query(t.Context(), []store.Path{coreutils}); err == nil || !strings.Contains(err.Error(), "nix-store was asked") {
			t.Errorf("nix is %q: %v, want nix-store to be asked", nix, err)
		}
	}
	fakeNix(t, "cat "+filepath.Join(here, "path-info.json"), asked)
	other := store.Path("/nix/store/00000000000000000000000000000000-other")
	if _, err := host.Query(t.Context(), []store.Path{coreutils, other}); err == nil {
		t.Error("a root that nix does not list was taken")
	}
}

func TestQueryRefusesALyingNixStore(t *testing.T) {
	for _, test := range []struct{ script, want string }{
		{"echo nonsense", "nonsense"},
		{"echo broken >&2; exit 3", "broken"},
		{"exit 3", "exit status 3"},
		{"yes /nix/store/00000000000000000000000000000000-a", "more than 1048576 paths"},
	} {
		fakeNix(t, "exit 1", test.script)
		_, err := host.Query(t.Context(), []store.Path{coreutils})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("Query with %q = %v; want %q", test.script, err, test.want)
		}
	}
}

func TestGraphWithoutHashesGetsAHint(t *testing.T) {
	known := filepath.Join(t.TempDir(), "graph") // of a path whose deriver Nix knows
	if err := os.WriteFile(known, []byte(pathA+"\n"+pathA+".drv\n0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"testdata/graph", known} {
		_, err := host.Open(t.Context(), name)
		if fault.CodeOf(err) != fault.Refused || !strings.Contains(fault.HintOf(err), "closureInfo") {
			t.Errorf("Open(%s) = %v, hint %q; want Refused, hint with closureInfo", name, err, fault.HintOf(err))
		}
	}
}
