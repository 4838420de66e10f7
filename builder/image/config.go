package image

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// member is a member of a JSON object, its value as it was written.
type member struct {
	key   string
	value json.RawMessage
}

// mergeConfig returns the config object without members that are null, and
// with labels added to its Labels.
func mergeConfig(config json.RawMessage, labels map[string]string) (json.RawMessage, error) {
	if len(config) == 0 {
		config = json.RawMessage("{}")
	}
	members, err := splitObject(config)
	if err != nil {
		return nil, err
	}
	out := members[:0]
	merged := false
	for _, m := range members {
		if bytes.Equal(m.value, []byte("null")) {
			continue
		}
		if m.key == "Labels" && len(labels) > 0 {
			if m.value, err = mergeLabels(m.value, labels); err != nil {
				return nil, err
			}
			merged = true
		}
		out = append(out, m)
	}
	if len(labels) > 0 && !merged {
		value, err := encode(labels)
		if err != nil {
			return nil, err
		}
		out = append(out, member{"Labels", value})
	}
	return joinObject(out)
}

func mergeLabels(value json.RawMessage, labels map[string]string) (json.RawMessage, error) {
	all := make(map[string]string)
	if err := json.Unmarshal(value, &all); err != nil {
		return nil, fmt.Errorf("member Labels: %w", err)
	}
	for key, label := range labels {
		all[key] = label
	}
	return encode(all)
}

// splitObject returns the members of a JSON object in their order. A key that
// is given twice is an error: readers disagree on which counts.
func splitObject(object json.RawMessage) ([]member, error) {
	d := json.NewDecoder(bytes.NewReader(object))
	if token, err := d.Token(); err != nil {
		return nil, err
	} else if token != json.Delim('{') {
		return nil, errors.New("it is not an object")
	}
	var members []member
	seen := make(map[string]bool)
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		m := member{key: token.(string)} // the decoder takes no other key
		if seen[m.key] {
			return nil, fmt.Errorf("member %s is given twice", m.key)
		}
		seen[m.key] = true
		if err := d.Decode(&m.value); err != nil {
			return nil, fmt.Errorf("member %s: %w", m.key, err)
		}
		members = append(members, m)
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something follows the object")
	}
	return members, nil
}

// joinObject is the reverse of splitObject, without space between tokens.
func joinObject(members []member) (json.RawMessage, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range members {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := encode(m.key)
		if err != nil {
			return nil, err
		}
		b.Write(key)
		b.WriteByte(':')
		if err := json.Compact(&b, m.value); err != nil {
			return nil, fmt.Errorf("member %s: %w", m.key, err)
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
