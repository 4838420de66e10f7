package fault

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
)

func TestJSON(t *testing.T) {
	type inner struct {
		Rate float64
		On   bool
	}
	type document struct {
		Version  int
		Name     string
		Packages map[string]inner
		Layers   []inner
	}
	for text, want := range map[string]string{
		"":                          "parse: nothing in it",
		" \n":                       "parse: nothing in it",
		"7":                         "parse: line 1: number, want an object",
		"\n[]":                      "parse: line 2: array, want an object",
		"{\n\"version\": \"x\"}":    `parse: line 2: field "Version": string, want a whole number`,
		"{\"version\": 1.5}":        `parse: line 1: field "Version": number 1.5, want a whole number`,
		"{\"name\": {}}":            `parse: line 1: field "Name": object, want a string`,
		"{\"packages\": []}":        `parse: line 1: field "Packages": array, want an object`,
		"{\"layers\":\n\n{}}":       `parse: line 3: field "Layers": object, want an array`,
		"{\"layers\":[{\"on\":1}]}": `parse: line 1: field "Layers.On": number, want true or false`,
		"{\"version\": 1,\n\n x}":   "parse: line 3: invalid character 'x' looking for beginning of object key string",
		"{\"version\": 1,\n":        "parse: unexpected EOF",
	} {
		var d document
		err := json.NewDecoder(bytes.NewReader([]byte(text))).Decode(&d)
		if got := JSON(fmt.Errorf("parse: %w", err), []byte(text)); got.Error() != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		} else if !errors.Is(got, err) {
			t.Errorf("%q: the cause is lost", text)
		}
	}
	if err := errors.New("x"); JSON(err, nil) != err || JSON(nil, nil) != nil {
		t.Error("an error that is none of encoding/json has changed")
	}
}
