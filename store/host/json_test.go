package host

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// Behind a long text, such as a script among structured attributes, the line of a path
// is found as fast as before it.
func TestLittleIsReadAhead(t *testing.T) {
	long := `"` + strings.Repeat("x", 1<<20) + `"`
	j := newJSONReader(strings.NewReader("[" + long + strings.Repeat(",\n1", 1<<18) + "]"))
	if err := j.want(jsontext.KindBeginArray, "text", "an array"); err != nil {
		t.Fatal(err)
	}
	for line := 1; j.dec.PeekKind() != jsontext.KindEndArray; line++ {
		if err := j.skip(); err != nil {
			t.Fatal(err)
		}
		if ahead := len(j.dec.UnreadBuffer()); ahead > maxAhead+8 {
			t.Fatalf("at line %d %d bytes are read ahead", line, ahead)
		}
		if line%1000 == 0 && j.line() != line {
			t.Fatalf("line %d is told as %d", line, j.line())
		}
	}
}
