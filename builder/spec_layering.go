package builder

import (
	"errors"
	"fmt"
	"path"

	"terrine/layering"
)

// layering takes an object.
func (p *specParser) layering(v *jsonValue, path string) error {
	return p.fields(v, path, map[string]field{
		"strategy":    p.textField,
		"minSize":     p.numberField,
		"groups":      p.groups,
		"pins":        p.pins,
		"pipeline":    p.pipeline,
		"rates":       p.diskPath(&p.spec.Layering.Rates),
		"chainWeight": p.chainWeight,
	})
}

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
		return p.diskPath(&p.spec.Layering.PipelineFile)(v, path)
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

// chainWeight takes a number that need not be whole.
func (p *specParser) chainWeight(v *jsonValue, path string) error {
	if err := p.want(v, path, kindNumber); err != nil {
		return err
	}
	if err := p.spec.setText(path, v.text); err != nil {
		return p.errorAt(v.off, path, err)
	}
	return nil
}

// pins takes an array of objects.
func (p *specParser) pins(v *jsonValue, path string) error {
	if err := p.want(v, path, kindArray); err != nil {
		return err
	}
	for i, item := range v.items {
		var pin layering.Pin
		at := indexPath(path, i)
		err := p.fields(item, at, map[string]field{
			"glob":  p.textInto(&pin.Glob, checkPinGlob),
			"layer": p.textInto(&pin.Layer, checkLayerName),
		})
		switch {
		case err != nil:
			return err
		case pin.Glob == "" || pin.Layer == "":
			return p.errorAt(item.off, at, errors.New(`want both "glob" and "layer"`))
		}
		p.spec.Layering.Pins = append(p.spec.Layering.Pins, pin)
	}
	return nil
}

func checkPinGlob(s string) error {
	if _, err := path.Match(s, ""); err != nil || s == "" {
		return fmt.Errorf("%q is no glob", s)
	}
	return nil
}

func checkLayerName(s string) error {
	if s == "" || len(s) > 128 {
		return errors.New("a layer has a name of 1 to 128 bytes")
	}
	return checkText(s)
}
