package host

import (
	"encoding/json"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// FuzzJSON holds the reader of JSON to encoding/json: they take the same, and find
// the same in texts, however little a call of Read returns and the buffer holds.
func FuzzJSON(f *testing.F) {
	for _, text := range []string{
		"", " ", `""`, "[1,2,]", "[,1]", `{"a":1,}`, `{"a" 1}`, `{1:2}`, "[1 2]", "[]]", "{}x", "1.5e+7", "007", "-", "+1", "tru", "truefalse",
		`"\u00e9\ud83d\ude00\"\\"`, `"\x"`, "\"\\\n\"", "\"\xff\"", "\"\t\"", `"\`, `"\"`, "\"é\x7f\"", "\ufeff1", "[[[{}]]]", "[[]", `{"a":{"b":[null]}}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b := []byte(text)
		valid := json.Valid(b)
		for _, r := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text)), iotest.DataErrReader(strings.NewReader(text))} {
			j := newJSONReader(r)
			j.buf = make([]byte, 0, 1)
			var got []byte
			c, err := j.peek()
			if err == nil && c == '"' {
				got, err = j.text()
			} else if err == nil {
				err = j.skip(0)
			}
			if err == nil {
				got = append([]byte(nil), got...)
				err = j.end()
			}
			if (err == nil) != valid {
				t.Errorf("%q: %v; json.Valid says %t", text, err, valid)
			}
			var want string
			if err == nil && c == '"' && json.Unmarshal(b, &want) == nil && want != string(got) {
				t.Errorf("%q is %q, want %q", text, got, want)
			}
		}
	})
}
