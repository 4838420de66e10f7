package builder

import (
	"errors"

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
