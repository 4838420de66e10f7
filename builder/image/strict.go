package image

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"terrine/store/fault"
)

// knownFields are the fields of the documents read here. encoding/json takes
// them in any case, other readers do not: a document that holds one in another
// case says one thing to one reader and another to the next.
const knownFields = " schemaVersion mediaType artifactType config layers manifests subject annotations" +
	" digest size urls data platform architecture os os.version os.features variant" +
	" created author rootfs type diff_ids history created_by comment empty_layer imageLayoutVersion "

// decodeStrict decodes a document that every reader has to understand alike:
// UTF-8, one value, no key twice, known fields in their own case, bounded in
// size and depth. Unknown fields are no error: the specification allows them.
func decodeStrict(data []byte, v any) error {
	switch {
	case len(data) > maxDocumentSize:
		return fmt.Errorf("%d bytes: at most %d are read", len(data), maxDocumentSize)
	case !utf8.Valid(data):
		return errors.New("it is not UTF-8")
	}
	s := scanner{json.NewDecoder(bytes.NewReader(data))}
	s.UseNumber()
	if err := s.value("", 0); err != nil {
		return err
	}
	if _, err := s.Token(); err != io.EOF {
		return errors.New("something follows the document")
	}
	return json.Unmarshal(data, v)
}

// scanner looks at the keys of a document.
type scanner struct{ *json.Decoder }

// value scans the next value, that of the given key.
func (s scanner) value(key string, depth int) error {
	token, err := s.Token()
	if err != nil {
		return unexpected(err)
	}
	if depth > maxJSONDepth {
		return fmt.Errorf("nested more than %d levels deep", maxJSONDepth)
	}
	switch token {
	case json.Delim('{'):
		err = s.object(key, depth)
	case json.Delim('['):
		for err == nil && s.More() {
			err = s.value(key, depth+1)
		}
	default:
		return nil
	}
	if err != nil {
		return err
	}
	_, err = s.Token()
	return unexpected(err)
}

func (s scanner) object(parent string, depth int) error {
	seen := make(map[string]bool)
	for s.More() {
		token, err := s.Token()
		if err != nil {
			return unexpected(err)
		}
		key := token.(string) // the decoder takes no other key
		if seen[key] {
			return fmt.Errorf("field %q is given twice", key)
		}
		seen[key] = true
		if err := checkCase(parent, key); err != nil {
			return err
		}
		if err := s.value(key, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// checkCase reports whether key is a known field in another case. In objects
// whose keys are the user's, all of them are fine.
func checkCase(parent, key string) error {
	switch parent {
	case "annotations", "config", "container_config", "Labels":
		return nil
	}
	for known := range strings.FieldsSeq(knownFields) {
		if known != key && strings.EqualFold(known, key) {
			return fmt.Errorf("field %q: some readers take it for %q", key, known)
		}
	}
	return nil
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// refuse gives err the class of malformed input.
func refuse(err error) error { return fault.New(fault.Refused, err) }
