package fault

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
)

// JSON returns err, which encoding/json has had with text, in the words of who has
// written the text: with the line, and without the types of Go. Other errors are
// returned as they are.
func JSON(err error, text []byte) error {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return Rename(err, syntax.Error(), fmt.Sprintf("line %d: %s", line(text, syntax.Offset), syntax))
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		field := ""
		if e.Field != "" {
			field = fmt.Sprintf("field %q: ", e.Field)
		}
		return Rename(err, e.Error(), fmt.Sprintf("line %d: %s%s, want %s", line(text, e.Offset), field, e.Value, wanted(e.Type)))
	}
	if errors.Is(err, io.EOF) && len(bytes.TrimSpace(text)) == 0 {
		return Rename(err, io.EOF.Error(), "nothing in it")
	}
	return err
}

// line is that of a byte, from 1.
func line(text []byte, offset int64) int {
	return 1 + bytes.Count(text[:max(0, min(offset-1, int64(len(text))))], []byte("\n"))
}

// wanted names what is a t in JSON.
func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.String:
		return "a string"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Map, reflect.Struct:
		return "an object"
	}
	return "a whole number"
}
