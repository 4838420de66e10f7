// Package fault gives errors the two things that a user of the command line
// needs beside their text: a class, which becomes the exit code, and a hint,
// which says what to do. Beside that it puts into errors what users know things
// by (Rename, JSON), may have meant (Nearest) or can give a shell (Word), and keeps
// the one error from them that means nothing (Retry). It is a leaf: every package
// may import it.
package fault

import "errors"

// Code is the class of an error. Its value is the exit code of the process.
type Code int

// The classes. The codes from 100 are those of Nix.
const (
	Failed           Code = 1   // anything without a class of its own
	Usage            Code = 2   // the command line is wrong
	NotCached        Code = 3   // probe: not every layer is known
	Absent           Code = 4   // predicted, but absent where it was asked for
	StoreDamaged     Code = 10  // the store or its index is damaged
	IO               Code = 11  // the machine failed: no space, read-only, I/O error
	Busy             Code = 12  // a lock was not to be had in time
	Refused          Code = 13  // the input is malformed, unsafe or unsupported
	Network          Code = 14  // the network failed, after retries
	Auth             Code = 15  // not allowed, or not logged in
	Integrity        Code = 16  // content does not match its digest or size
	Build            Code = 100 // a builder failed
	Timeout          Code = 101 // a builder took too long
	HashMismatch     Code = 102 // a fixed output has another hash
	NotDeterministic Code = 104 // a second build gave another output
)

// New returns err with a class. The text is unchanged; errors.Is and
// errors.As see through it. New(code, nil) is nil.
func New(code Code, err error) error {
	if err == nil {
		return nil
	}
	return &classified{err: err, code: code}
}

// Hint returns err with a line that says what the user can do. The text of
// err is unchanged: HintOf gets the hint back. Hint(nil, …) is nil.
func Hint(err error, hint string) error {
	if err == nil {
		return nil
	}
	return &hinted{err: err, hint: hint}
}

// CodeOf returns the class of err that stands nearest to its surface, or
// Failed. It is 0 for nil.
func CodeOf(err error) Code {
	if err == nil {
		return 0
	}
	if c, ok := errors.AsType[*classified](err); ok {
		return c.code
	}
	return Failed
}

// HintOf returns the outermost hint of err, or "".
func HintOf(err error) string {
	if h, ok := errors.AsType[*hinted](err); ok {
		return h.hint
	}
	return ""
}

type classified struct {
	err  error
	code Code
}

func (c *classified) Error() string { return c.err.Error() }
func (c *classified) Unwrap() error { return c.err }

type hinted struct {
	err  error
	hint string
}

func (h *hinted) Error() string { return h.err.Error() }
func (h *hinted) Unwrap() error { return h.err }
