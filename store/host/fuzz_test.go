package host_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"terrine/store"
	"terrine/store/fault"
	"terrine/store/host"
)

// checkClosure checks what every parser promises of what it returns.
func checkClosure(t *testing.T, infos []*store.Info, err error) {
	t.Helper()
	if err != nil {
		if fault.CodeOf(err) != fault.Refused {
			t.Errorf("%v has class %d; want Refused", err, fault.CodeOf(err))
		}
		return
	}
	listed := make(map[store.Path]bool)
	for i, info := range infos {
		listed[info.Path] = true
		if i > 0 && infos[i-1].Path >= info.Path {
			t.Errorf("%s after %s", info.Path, infos[i-1].Path)
		}
		if _, err := store.ParsePath(string(info.Path)); err != nil {
			t.Error(err)
		}
		if err := info.NARHash.Validate(); err != nil || info.NARSize <= 0 {
			t.Errorf("%s: NAR hash %q (%v), size %d", info.Path, info.NARHash, err, info.NARSize)
		}
	}
	for _, info := range infos {
		if !slices.IsSorted(info.References) {
			t.Errorf("references of %s are not sorted: %q", info.Path, info.References)
		}
		for _, ref := range info.References {
			if !listed[ref] {
				t.Errorf("%s refers to %s, which is not listed", info.Path, ref)
			}
		}
	}
}

func FuzzParseGraph(f *testing.F) {
	golden, err := os.ReadFile("testdata/attrs.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(golden), "closure")
	f.Add("["+element(pathA, pathA, pathB)+","+element(pathB)+"]", "")
	f.Add(`{"c":[`+element(pathA)+`]}`, "c")
	f.Add(`[{"path":1,"x":[[[{}]]]}]`, "")
	f.Fuzz(func(t *testing.T, text, key string) {
		infos, err := host.ParseGraph(strings.NewReader(text), key)
		checkClosure(t, infos, err)
	})
}

func FuzzParseRegistration(f *testing.F) {
	golden, err := os.ReadFile("testdata/registration")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(golden))
	f.Add(lines(pathA, hash, "120", pathB, "1", pathA))
	f.Fuzz(func(t *testing.T, text string) {
		infos, err := host.ParseRegistration(strings.NewReader(text))
		checkClosure(t, infos, err)
	})
}
