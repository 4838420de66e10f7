package durable

import (
	"runtime"
	"runtime/debug"
)

// guard runs f, which does nothing but call bbolt. On a damaged file bbolt
// panics, or the memory map faults; guard makes that an error of class
// fault.StoreDamaged, and reports that bbolt must not be called again: its
// locks may be held for ever.
func guard(f func() error) (err error, broken bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch r := recover().(type) {
		case nil:
			return
		case runtime.Error: // an index out of range, a fault: it says nothing to a user
			err = damaged("damaged: a page is not what it should be")
		default:
			err = damaged("damaged: %v", r)
		}
		broken = true
	}()
	return f(), false
}
