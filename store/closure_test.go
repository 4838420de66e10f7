package store

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
)

// infosFor makes n infos, sorted by path, that refer to themselves and to the first.
func infosFor(n int) []*Info {
	infos := make([]*Info, n)
	for i := range infos {
		infos[i] = &Info{
			Path:    Path(fmt.Sprintf("/nix/store/%032d-p%d", i, i)),
			NARHash: digest.FromString(fmt.Sprint(i)),
			NARSize: int64(i),
		}
		if i > 0 {
			infos[i].References = []Path{infos[0].Path, infos[i].Path}
		}
	}
	return infos
}

func TestClosureIsWhatItWasMadeOf(t *testing.T) {
	infos := infosFor(40)
	infos[7].Deriver, infos[7].CA, infos[7].Signatures = infos[0].Path, "fixed:r:x", []string{"a:1", "b:2"}
	given := slices.Clone(infos)
	slices.Reverse(given)
	twice := *infos[9]
	twice.References = []Path{infos[9].Path, infos[0].Path, infos[9].Path}
	given[40-1-9] = &twice
	c, err := NewClosure(slices.Values(given))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(infos, c.Infos()); diff != "" {
		t.Errorf("other infos (-want +got):\n%s", diff)
	}
	for i, info := range infos {
		if at, ok := c.Find(info.Path); !ok || at != i || c.Path(i) != info.Path || c.NARSize(i) != info.NARSize || c.NARHash(i) != info.NARHash {
			t.Errorf("Find(%s) = %d, %t", info.Path, at, ok)
		}
		if at, ok := c.Find(info.Path + "x"); ok || at != i+1 {
			t.Errorf("Find of what comes behind %s = %d, %t", info.Path, at, ok)
		}
	}
	if got := c.References(9); !slices.Equal(got, []uint32{0, 9}) {
		t.Errorf("path 9 refers to %v", got)
	}
}

func TestClosureOfNothing(t *testing.T) {
	empty, err := NewClosure(slices.Values[[]*Info](nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*Closure{empty, {}, nil} {
		if _, ok := c.Find("/nix/store/x"); ok || c.Len() != 0 || len(c.Infos()) != 0 {
			t.Errorf("%d paths in an empty closure", c.Len())
		}
	}
}

func TestNewClosureRefuses(t *testing.T) {
	infos := infosFor(3)
	_, err := NewClosure(slices.Values(infos[1:]))
	if missing, ok := errors.AsType[*MissingError](err); !ok || missing.Path != infos[1].Path || missing.Reference != infos[0].Path {
		t.Errorf("without a path that is referred to: %v", err)
	}
	if _, err := NewClosure(slices.Values(append(infos, infos[2]))); err == nil {
		t.Error("a path may be there twice")
	}
	for _, hash := range []digest.Digest{"", "sha256:00", "sha512:" + digest.Digest(infos[0].NARHash.Encoded())} {
		infos[1].NARHash = hash
		if _, err := NewClosure(slices.Values(infos)); err == nil {
			t.Errorf("%q passes for a NAR hash", hash)
		}
	}
}
