package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"terrine/store/fault"
)

// exitCodes is the table of exit codes, as `terrine help exit-codes` and the
// manual show it. The codes of errors are fault.Code; a signal adds 128 to its
// number, as shells do.
var exitCodes = [...]struct {
	code int
	text string
}{
	{0, "done"},
	{int(fault.Failed), "failed for a reason that has no code of its own"},
	{int(fault.Usage), "the command line is wrong"},
	{int(fault.NotCached), "probe: not every layer is known"},
	{int(fault.Absent), "predicted, but absent where it was asked for"},
	{int(fault.StoreDamaged), "the store is damaged"},
	{int(fault.IO), "I/O error or no space"},
	{int(fault.Busy), "busy: another process holds a lock"},
	{int(fault.Refused), "input refused: malformed, unsafe or unsupported"},
	{int(fault.Network), "network error, after retries"},
	{int(fault.Auth), "authentication failed"},
	{int(fault.Integrity), "content does not match its digest"},
	{int(fault.Build), "a builder failed"},
	{int(fault.Timeout), "a builder took too long"},
	{int(fault.HashMismatch), "a fixed output has another hash"},
	{int(fault.NotDeterministic), "a second build gave another output"},
	{128 + int(syscall.SIGHUP), "stopped by SIGHUP"},
	{128 + int(syscall.SIGINT), "stopped by SIGINT"},
	{128 + int(syscall.SIGPIPE), "the reader of stdout went away"},
	{128 + int(syscall.SIGTERM), "stopped by SIGTERM"},
}

// machineErrnos are the errnos that mean that the machine failed, not the
// command: what no input can provoke and no other input avoids.
var machineErrnos = [...]syscall.Errno{
	syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EIO,
	syscall.ENFILE, syscall.EMFILE, syscall.ENOMEM, syscall.EFBIG, syscall.ESTALE,
}

// Signal is the cause of a context that a signal ended.
type Signal struct{ Number syscall.Signal }

func (s Signal) Error() string { return "stopped by " + signalName(s.Number) }

func signalName(n syscall.Signal) string {
	switch n {
	case syscall.SIGHUP:
		return "SIGHUP"
	case syscall.SIGINT:
		return "SIGINT"
	case syscall.SIGTERM:
		return "SIGTERM"
	}
	return n.String()
}

// exitCode is the code for a command that ended with err under ctx. broken
// says that stdout was closed by its reader.
func exitCode(ctx context.Context, err error, broken bool) int {
	if err == nil {
		return 0
	}
	if s, ok := errors.AsType[Signal](context.Cause(ctx)); ok {
		return 128 + int(s.Number)
	}
	if broken {
		return 128 + int(syscall.SIGPIPE)
	}
	if code := fault.CodeOf(err); code != fault.Failed {
		return int(code)
	}
	for _, errno := range machineErrnos {
		if errors.Is(err, errno) {
			return int(fault.IO)
		}
	}
	if errors.Is(err, syscall.EPIPE) {
		return 128 + int(syscall.SIGPIPE)
	}
	return int(fault.Failed)
}

// hintOf is what a user can do about err: the hint it carries, or one for the
// errors of the system that speak for themselves too little.
func hintOf(err error) string {
	if hint := fault.HintOf(err); hint != "" {
		return hint
	}
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return "free some space, or inodes (df -i), on that filesystem, or write to another one"
	case errors.Is(err, syscall.EDQUOT):
		return "the disk quota is used up: free some space, or write to another filesystem"
	case errors.Is(err, syscall.EFBIG):
		return "raise the limit of the size of files (ulimit -f), or write to a filesystem that keeps larger ones"
	case errors.Is(err, syscall.EIO):
		return "the disk may be failing (see dmesg); terrine store verify finds what is damaged"
	case errors.Is(err, syscall.EROFS):
		return "that filesystem is mounted read-only: write to another one"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "raise the limit of open files (ulimit -n), or use fewer workers (-j)"
	case errors.Is(err, os.ErrPermission):
		return "check the owner and mode of that path"
	}
	return ""
}

// report says on stderr how a command failed. A closed pipe is no news to
// whoever closed it.
func (a *app) report(cmd *cobra.Command, code int, err error) {
	if code == 0 || code == 128+int(syscall.SIGPIPE) {
		return
	}
	if code > 128 {
		fmt.Fprintln(a.Stderr, a.paint(red, "error:"), Signal{syscall.Signal(code - 128)})
		return
	}
	if errors.Is(err, errHelpShown) {
		return
	}
	fmt.Fprintln(a.Stderr, a.paint(red, "error:"), oneLine(sentence(err)))
	hint := hintOf(err)
	if hint == "" && code == int(fault.Usage) && cmd != nil {
		hint = "see " + cmd.CommandPath() + " --help"
	}
	if hint != "" {
		fmt.Fprintln(a.Stderr, a.paint(yellow, "hint:"), oneLine(hint))
	}
}
