package durable

import (
	"fmt"
	"runtime/debug"

	"terrine/store/fault"
)

// guard runs f, which does nothing but call bbolt. On a damaged file bbolt
// panics, or the memory map faults; guard makes that an error of class
// fault.StoreDamaged, and reports that bbolt must not be called again: its
// locks may be held for ever.
func guard(f func() error) (err error, broken bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			broken = true
			err = fault.New(fault.StoreDamaged, fmt.Errorf("damaged: %v", r))
		}
	}()
	return f(), false
}
