package builder

import (
	"os"
	"path/filepath"
	"testing"
)

// atStage is a Progress that does something when a stage begins.
type atStage struct {
	silent
	name string
	do   func()
}

func (a atStage) Stage(name string, _ int64) {
	if name == a.name {
		a.do()
	}
}

// TestAnImageInThePlaceOfOneIsNotLeftAlone: of two builds that write one file at
// once, the one whose file was replaced must not remember the other's as its own.
func TestAnImageInThePlaceOfOneIsNotLeftAlone(t *testing.T) {
	s := newHostStore(t)
	o := s.options()
	o.Memo, _ = openMemo(t, t.TempDir())
	path := filepath.Join(t.TempDir(), "image.tar")
	build := func(tag string, progress Progress) *Result {
		t.Helper()
		o := o
		o.Progress = progress
		plan, err := NewPlan(t.Context(), s.spec(t, `{"name":"x","tag":"`+tag+`","contents":["@app"]}`), o)
		if err != nil {
			t.Fatal(err)
		}
		r, err := plan.WriteArchive(t.Context(), Output{Path: path}, o)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	replaced := 0
	build("1", atStage{name: PhaseRemember, do: func() {
		replaced++
		build("2", nil)
	}})
	second, err := os.ReadFile(path)
	if err != nil || replaced != 1 {
		t.Fatalf("replaced %d times, %v", replaced, err)
	}
	if !build("2", nil).Unchanged {
		t.Error("the image that is there is not recognised")
	}
	if build("1", nil).Unchanged {
		t.Error("another image is taken for the one that was replaced")
	}
	if first, err := os.ReadFile(path); err != nil || string(first) == string(second) {
		t.Errorf("the other image is still there, %v", err)
	}
}
