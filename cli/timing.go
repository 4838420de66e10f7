package cli

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"terrine/builder"
)

// timingVersion is the version of what --timing writes; docs/timing.schema.json
// has its form.
const timingVersion = 1

type timingJSON struct {
	Version int             `json:"version"`
	Command string          `json:"command"`
	Seconds float64         `json:"seconds"`
	Workers int             `json:"workers"`
	Phases  []builder.Phase `json:"phases"`
	// Cache counts lookups by kind; nil without a cache.
	Cache map[string]builder.Lookups `json:"cache"`
}

// timingFlag is --timing.
type timingFlag struct{ file string }

func (f *timingFlag) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.file, "timing", "", "write to this `file`, as JSON, how long each phase took and what the cache had")
}

// timed calls do, and writes how long it took where --timing says, also after
// a failure. sf will hand the timing to the planner.
func (a *app) timed(cmd *cobra.Command, f *timingFlag, sf *specFlags, spec string, do func() error) error {
	switch {
	case f.file == "":
		return do()
	case f.file == "-":
		return usagef("--timing -: stdout is for results; name a file")
	case isSpec(f.file, spec):
		return usagef("--timing %s: that is the spec", f.file)
	}
	if err := a.checkOutput("--timing", f.file); err != nil {
		return err
	}
	workers, err := sf.workers(cmd.Flags())
	if err != nil {
		return err
	}
	began := a.Now()
	sf.timing = builder.NewTiming(a.Now)
	sf.timing.Begin(builder.PhaseSpec)
	err = do()
	sf.timing.End()
	j := timingJSON{
		Version: timingVersion, Command: cmd.Name(), Seconds: a.Now().Sub(began).Seconds(), Workers: workers,
		Phases: sf.timing.Phases(), Cache: sf.timing.Lookups(),
	}
	if writeErr := writeJSONFile(cmd.Context(), f.file, j); err == nil {
		err = writeErr
	}
	return err
}
