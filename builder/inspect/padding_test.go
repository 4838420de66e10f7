package inspect

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"terrine/store/fault"
)

// zeros is what /dev/zero has.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestPaddingHasAnEnd: an archive may be padded, and /dev/zero is none.
func TestPaddingHasAnEnd(t *testing.T) {
	s := newSample(t, nil)
	padded := io.MultiReader(bytes.NewReader(makeTar(t, s.oci(t)...)), io.LimitReader(zeros{}, 1<<20))
	if _, err := Read(t.Context(), padded); err != nil {
		t.Errorf("a padded archive: %v", err)
	}
	_, err := Read(t.Context(), zeros{})
	if fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), "bytes after the end") {
		t.Errorf("zeros without end: %v", err)
	}
}

// TestNoTar: what is something else is told so, and not in the words of a Go package.
func TestNoTar(t *testing.T) {
	_, err := Read(t.Context(), strings.NewReader(strings.Repeat("no tar ", 1000)))
	if want := "read archive: it is no tar file, nor one that is compressed"; fault.CodeOf(err) != fault.Refused || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}
