package builder

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"terrine/builder/image"
	"terrine/layering"
)

// groups takes an array of arrays of globs.
func (p *specParser) groups(v *jsonValue, path string) error {
	if err := p.want(v, path, kindArray); err != nil {
		return err
	}
	for i, item := range v.items {
		at := indexPath(path, i)
		globs, err := p.texts(item, at, checkPinGlob)
		if err != nil {
			return err
		}
		if len(globs) == 0 {
			return p.errorAt(item.off, at, errors.New("a group without globs"))
		}
		p.spec.Layering.Groups = append(p.spec.Layering.Groups, globs)
	}
	return nil
}

// pipeline takes the steps of a pipeline, or the name of a file with them.
func (p *specParser) pipeline(v *jsonValue, path string) error {
	if v.kind == kindString {
		name, err := p.text(v, path, checkDiskPath)
		if err == nil {
			p.spec.Layering.PipelineFile = p.onDisk(name)
		}
		return err
	}
	if err := p.want(v, path, kindArray, kindString); err != nil {
		return err
	}
	text := p.data[v.off:v.end]
	_, err := layering.ParsePipeline(text)
	if perr, ok := errors.AsType[*layering.PipelineError](err); ok {
		at := v
		for _, i := range perr.At {
			if i >= len(at.items) {
				break
			}
			at = at.items[i]
		}
		return p.errorAt(at.off, path+perr.Place(), perr.Err)
	}
	p.spec.Layering.Pipeline = text
	return err
}

// readPipeline reads a file that holds a pipeline. Errors name it; what is
// malformed has the class fault.Refused.
func readPipeline(name string) (*layering.Pipeline, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read pipeline: %w", err)
	}
	defer f.Close()
	const most = 2 << 20 // the parser has a bound of its own, below this
	text, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return nil, fmt.Errorf("read pipeline: %w", err)
	}
	pipeline, err := layering.ParsePipeline(text)
	if err != nil {
		return nil, refused(fmt.Errorf("read %s: %w", name, err))
	}
	return pipeline, nil
}

// addPipeline adds the pipeline of the spec, if it has one. How many layers it
// makes is its own affair, as with dockerTools, up to what an image can have.
func (s *Spec) addPipeline(o *layering.Options) (err error) {
	switch {
	case s.Layering.PipelineFile != "":
		o.Pipeline, err = readPipeline(s.Layering.PipelineFile)
	case s.Layering.Pipeline != nil:
		o.Pipeline, err = layering.ParsePipeline(s.Layering.Pipeline)
	default:
		return nil
	}
	o.MaxLayers = image.MaxLayers - 1
	return err
}

// checkDatabase refuses a database of store paths that the image lacks.
func (p *Plan) checkDatabase() error {
	if !p.spec.IncludeNixDB {
		return nil
	}
	in := 0
	for i := range p.Layers {
		in += len(p.Layers[i].Objects)
	}
	if in == len(p.objects) {
		return nil
	}
	here := make(map[string]bool, in)
	for _, path := range p.layering.Exclude { // the base has them
		here[path] = true
	}
	for i := range p.Layers {
		for _, path := range p.Layers[i].Paths() {
			here[string(path)] = true
		}
	}
	var missing []string
	for i := range p.objects {
		if path := string(p.objects[i].Path); !here[path] {
			missing = append(missing, path)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	const shown = 3
	names := strings.Join(missing[:min(shown, len(missing))], ", ")
	if more := len(missing) - shown; more > 0 {
		names += fmt.Sprintf(" and %d more", more)
	}
	return refused(fmt.Errorf("plan layers: includeNixDB: the database would name what layering.pipeline removes: %s", names))
}
