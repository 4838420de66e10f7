package fault

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"
)

func TestRename(t *testing.T) {
	first := New(IO, Hint(fmt.Errorf("write /d/.tmp-1: %w", fs.ErrClosed), "wait"))
	second := errors.New("remove /d/.tmp-1 and /d/.tmp-1")
	err := Rename(errors.Join(first, second), "/.tmp-1", "/image")
	if want := "write /d/image: file already closed\nremove /d/image and /d/image"; err.Error() != want {
		t.Errorf("text %q, want %q", err, want)
	}
	if several, ok := err.(interface{ Unwrap() []error }); !ok || len(several.Unwrap()) != 2 {
		t.Error("they are no longer two")
	}
	if !errors.Is(err, fs.ErrClosed) || CodeOf(err) != IO || HintOf(err) != "wait" {
		t.Error("the cause, the class or the hint is lost")
	}
	if got := Rename(first, "absent", "x"); got != first {
		t.Errorf("without the name it became %v", got)
	}
	if Rename(nil, "a", "b") != nil {
		t.Error("nil became an error")
	}
}
