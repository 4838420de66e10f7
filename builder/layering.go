package builder

import (
	"fmt"
	"io"
	"os"

	"terrine/layering"
)

// maxRates bounds the bytes of a file of rates: 100,000 packages have some 8 MB.
const maxRates = 64 << 20

// ReadRates reads a file that `terrine learn` has written. Errors name it;
// what is malformed has the class fault.Refused.
func ReadRates(name string) (*layering.Rates, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read rates: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxRates+1))
	if err != nil {
		return nil, fmt.Errorf("read rates: %w", err)
	}
	if len(text) > maxRates {
		return nil, refused(fmt.Errorf("read rates %s: more than %d bytes", name, maxRates))
	}
	rates, err := layering.ParseRates(text)
	if err != nil {
		return nil, refused(fmt.Errorf("read rates %s: %w", name, err))
	}
	return rates, nil
}

// layeringOptions are what the spec says of layers, with the file of rates read.
// One layer is kept for the root layer.
func (s *Spec) layeringOptions() (o layering.Options, err error) {
	o = layering.Options{
		Strategy:  s.Layering.Strategy,
		MaxLayers: s.MaxLayers - 1,
		MinSize:   s.Layering.MinSize,
		Groups:    s.Layering.Groups,
		Pins:      s.Layering.Pins,

		ChainWeight: s.Layering.ChainWeight,
	}
	if err := s.addPipeline(&o); err != nil {
		return o, err
	}
	if s.Layering.Rates != "" {
		o.Rates, err = ReadRates(s.Layering.Rates)
	}
	return o, err
}
