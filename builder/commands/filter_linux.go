package commands

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"terrine/store/fault"
)

// socketFD is the descriptor on which Exec finds its socket.
const socketFD = 3

// Exec is the main function of a terrine that Enter starts: it has the kernel
// stop the calls that deal with owners, hands the descriptor that tells of them to Enter, and
// becomes the program argv. It returns only if that fails.
func Exec(argv []string) error {
	if len(argv) == 0 {
		return errors.New("no program")
	}
	// A filter is a thread's, and the thread that calls exec is what is left.
	runtime.LockOSThread()
	listener, err := filterOwners()
	var rights []byte
	if err == nil {
		rights = unix.UnixRights(listener)
	}
	// Where the kernel has no such filter, chown is left to do what it can.
	if err := fault.Retry(func() error { return unix.Sendmsg(socketFD, []byte{0}, rights, nil, 0) }); err != nil {
		return fmt.Errorf("hand over listener: %w", err)
	}
	if err == nil {
		unix.Close(listener)
	}
	unix.Close(socketFD)
	if err := fault.Retry(func() error { return syscall.Exec(argv[0], argv, os.Environ()) }); err != nil {
		return fmt.Errorf("run %s: %w", argv[0], err)
	}
	return nil
}

// filterOwners installs a filter for the calling thread and what it becomes, and
// returns the descriptor on which its notifications are.
func filterOwners() (int, error) {
	numbers := slices.Sorted(maps.Keys(calls()))
	if len(numbers) == 0 {
		return -1, errors.ErrUnsupported
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return -1, err
	}
	program := ownerFilter(numbers)
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return -1, errno
	}
	unix.CloseOnExec(int(fd))
	return int(fd), nil
}

// ownerFilter notifies of calls by number, and allows all others. Calls by another ABI of
// the machine are allowed: their numbers mean something else.
func ownerFilter(numbers []int) []unix.SockFilter {
	const (
		load  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		ret   = unix.BPF_RET | unix.BPF_K
		// Offsets in struct seccomp_data.
		number, arch = 0, 4
	)
	n := len(numbers)
	program := []unix.SockFilter{
		{Code: load, K: arch},
		{Code: equal, K: auditArch, Jf: uint8(n + 1)},
		{Code: load, K: number},
	}
	for i, call := range numbers {
		program = append(program, unix.SockFilter{Code: equal, K: uint32(call), Jt: uint8(n - i)})
	}
	return append(program, unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ALLOW}, unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_USER_NOTIF})
}
