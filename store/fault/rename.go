package fault

import (
	"errors"
	"strings"
)

// Rename returns err with the name from, wherever its text has it, replaced by to:
// what a temporary file is called says nothing to who asked for another. errors.Is,
// errors.As and CodeOf see through it. Rename(nil, …) is nil.
func Rename(err error, from, to string) error {
	if err == nil || !strings.Contains(err.Error(), from) {
		return err
	}
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		var lines []string
		for _, one := range several.Unwrap() {
			all, lines = append(all, Rename(one, from, to)), append(lines, one.Error())
		}
		if strings.Join(lines, "\n") == err.Error() { // it is of errors.Join
			return errors.Join(all...)
		}
	}
	return &renamed{err: err, from: from, to: to}
}

type renamed struct {
	err      error
	from, to string
}

func (r *renamed) Error() string { return strings.ReplaceAll(r.err.Error(), r.from, r.to) }
func (r *renamed) Unwrap() error { return r.err }
