package planfile

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"terrine/store/input"
)

// OpenJoint reads a file as Open does, or a joint plan, which has one of each
// of several images.
func OpenJoint(ctx context.Context, name string, watch Watch) ([]*Plan, error) {
	f, err := input.Open(ctx, name)
	if err != nil {
		return nil, err // says "open FILE"
	}
	defer f.Close()
	b := bufio.NewReaderSize(watch.reader(f), peekSize)
	head, err := b.Peek(peekSize)
	if err != nil && err != io.EOF {
		return nil, err // says "read FILE"
	}
	if text := bytes.TrimLeft(head, " \t\r\n"); len(text) == 0 || text[0] != '{' || bytes.IndexByte(head, 0) >= 0 {
		p, err := read(ctx, b)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		return []*Plan{p}, nil
	}
	plans, err := readJoint(ctx, b)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return plans, nil
}

// readJoint reads a joint plan, or one of a single image, in JSON.
func readJoint(ctx context.Context, r io.Reader) ([]*Plan, error) {
	text, err := readText(ctx, r)
	if err != nil {
		return nil, err
	}
	var doc Joint
	if err := json.Unmarshal(text, &doc); err != nil || len(doc.Images) == 0 {
		p, err := readJSON(ctx, bytes.NewReader(text))
		if err != nil {
			return nil, err
		}
		return []*Plan{p}, nil
	}
	if doc.Version != version {
		return nil, refused(fmt.Errorf("parse plan: version %d, want %d", doc.Version, version))
	}
	plans := make([]*Plan, len(doc.Images))
	for i, image := range doc.Images {
		if image.Layers == nil {
			return nil, refused(fmt.Errorf("parse plan: images[%d]: field \"layers\" is missing", i))
		}
		layers := make([]DocumentLayer, len(image.Layers))
		for k, l := range image.Layers {
			layers[k] = DocumentLayer{Key: l.Key, Size: l.Size, Paths: l.Paths}
		}
		if plans[i], err = newPlan(layers, image.Root); err != nil {
			return nil, refused(fmt.Errorf("parse plan: images[%d]: %w", i, err))
		}
		plans[i].bare()
	}
	return plans, nil
}
