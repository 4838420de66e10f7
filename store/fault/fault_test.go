package fault

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"
)

func TestCodeAndHintSurviveWrapping(t *testing.T) {
	inner := New(Integrity, Hint(fs.ErrNotExist, "fetch it again"))
	err := fmt.Errorf("read blob: %w", inner)
	if got := CodeOf(err); got != Integrity {
		t.Errorf("CodeOf = %d, want %d", got, Integrity)
	}
	if got := HintOf(err); got != "fetch it again" {
		t.Errorf("HintOf = %q", got)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		t.Error("the cause is lost")
	}
	if got, want := err.Error(), "read blob: file does not exist"; got != want {
		t.Errorf("text %q, want %q", got, want)
	}
}

func TestOutermostWins(t *testing.T) {
	err := Hint(New(Busy, Hint(New(IO, fs.ErrInvalid), "inner")), "outer")
	if CodeOf(err) != Busy || HintOf(err) != "outer" {
		t.Errorf("got %d %q, want %d %q", CodeOf(err), HintOf(err), Busy, "outer")
	}
}

func TestNone(t *testing.T) {
	if CodeOf(nil) != 0 || CodeOf(fs.ErrInvalid) != Failed || HintOf(fs.ErrInvalid) != "" {
		t.Error("an error without a class is not Failed without a hint")
	}
	if New(IO, nil) != nil || Hint(nil, "x") != nil {
		t.Error("nil became an error")
	}
}
