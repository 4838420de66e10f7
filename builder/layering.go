package builder

import (
	"context"
	"fmt"
	"io"

	"terrine/builder/image"
	"terrine/layering"
	"terrine/store/fault"
	"terrine/store/input"
)

// layeringOptions are what the spec says of layers, with the files of rates and of
// a pipeline read. One layer is kept for the root layer.
func (s *Spec) layeringOptions(ctx context.Context) (o layering.Options, err error) {
	o = layering.Options{
		Strategy:  s.Layering.Strategy,
		MaxLayers: s.MaxLayers - 1,
		MinSize:   s.Layering.MinSize,
		Groups:    s.Layering.Groups,
		Pins:      s.Layering.Pins,

		ChainWeight: s.Layering.ChainWeight,
	}
	if err := s.addPipeline(ctx, &o); err != nil {
		return o, err
	}
	if s.Layering.Rates != "" {
		o.Rates, err = ReadRates(ctx, s.Layering.Rates)
	}
	return o, err
}

// addPipeline adds the pipeline of the spec, if it has one. How many layers it
// makes is its own affair, as with dockerTools, up to what an image can have.
func (s *Spec) addPipeline(ctx context.Context, o *layering.Options) (err error) {
	switch {
	case s.Layering.PipelineFile != "":
		o.Pipeline, err = readPipeline(ctx, s.Layering.PipelineFile)
	case s.Layering.Pipeline != nil:
		o.Pipeline, err = layering.ParsePipeline(s.Layering.Pipeline)
	default:
		return nil
	}
	o.MaxLayers = image.MaxLayers - 1
	return err
}

// Bounds of files, in bytes.
const (
	maxRates    = 64 << 20 // 100,000 packages have some 8 MB
	maxPipeline = 2 << 20  // the parser has a bound of its own, below this
)

// ReadRates reads a file that `terrine learn` has written. Errors name it; what is
// malformed or too large has the class fault.Refused.
func ReadRates(ctx context.Context, name string) (*layering.Rates, error) {
	return readParsed(ctx, "rates", name, maxRates, layering.ParseRates)
}

func readPipeline(ctx context.Context, name string) (*layering.Pipeline, error) {
	return readParsed(ctx, "pipeline", name, maxPipeline, layering.ParsePipeline)
}

// readParsed parses what stands in a file of at most most bytes. Errors say what it
// was to be, and name it.
func readParsed[T any](ctx context.Context, what, name string, most int64, parse func([]byte) (T, error)) (parsed T, err error) {
	f, err := input.Open(ctx, name)
	if err != nil {
		return parsed, fmt.Errorf("read %s: %w", what, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return parsed, fmt.Errorf("read %s: %w", what, err) // says "read FILE"
	}
	if int64(len(text)) > most {
		return parsed, refused(fmt.Errorf("read %s %s: more than %d bytes", what, name, most))
	}
	if parsed, err = parse(text); err != nil {
		err = refused(fmt.Errorf("read %s %s: %w", what, name, fault.JSON(err, text)))
	}
	return parsed, err
}
