package cli

import (
	"errors"
	"fmt"
	"testing"
)

func TestSentence(t *testing.T) {
	disk := errors.New("unlink x: permission denied")
	for want, err := range map[string]error{
		"a":                           errors.New("a"),
		"a\nb":                        errors.New("a\nb"), // a name may have that in it
		"gc: a; b":                    fmt.Errorf("gc: %w", errors.Join(errors.New("a"), errors.New("b"))),
		"gc: a; b; c":                 fmt.Errorf("gc: %w", errors.Join(errors.New("a"), errors.Join(errors.New("b"), errors.New("c")))),
		"a: x (y)":                    fmt.Errorf("a: %w (y)", errors.New("x")),
		"unlink x: permission denied": errors.Join(disk, disk),
	} {
		if got := sentence(err); got != want {
			t.Errorf("sentence(%q) = %q; want %q", err, got, want)
		}
	}
}
