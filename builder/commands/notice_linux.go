package commands

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// notification is struct seccomp_notif of the kernel.
type notification struct {
	id    uint64
	pid   uint32
	flags uint32
	data  struct {
		nr   int32
		arch uint32
		ip   uint64
		args [6]uint64
	}
}

// reply is struct seccomp_notif_resp.
type reply struct {
	id    uint64
	val   int64
	errno int32 // negative
	flags uint32
}

// validRequest is SECCOMP_IOCTL_NOTIF_ID_VALID, which is the same everywhere
// that calls knows.
const validRequest = 0x40082102

// notice gets the listener from a socket, answers its notifications, and notes
// in owners what they ask for. It ends when stop does, or when no process is
// left that the listener is of.
func notice(socket, stop *os.File, owners *Owners) error {
	listener, err := receive(int(socket.Fd()))
	if err != nil || listener < 0 {
		return err
	}
	defer unix.Close(listener)
	fds := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}, {Fd: int32(stop.Fd()), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(fds, -1)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		switch {
		case err != nil:
			return err
		case fds[0].Revents&unix.POLLIN != 0:
			if err := answerOne(listener, owners); err != nil {
				return err
			}
		case fds[0].Revents != 0 || fds[1].Revents != 0:
			return nil
		}
	}
}

// receive returns the descriptor that comes over a socket, or -1 if none does.
func receive(socket int) (int, error) {
	buf, oob := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	for {
		_, n, _, _, err := unix.Recvmsg(socket, buf, oob, unix.MSG_CMSG_CLOEXEC)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			return -1, err
		}
		messages, err := unix.ParseSocketControlMessage(oob[:n])
		if err != nil || len(messages) == 0 {
			return -1, err
		}
		fds, err := unix.ParseUnixRights(&messages[0])
		if err != nil || len(fds) == 0 {
			return -1, err
		}
		return fds[0], nil
	}
}

// answerOne receives a notification and answers it. A process that has died
// meanwhile is no error.
func answerOne(listener int, owners *Owners) error {
	var n notification
	if err := ioctl(listener, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&n)); err != nil {
		if errors.Is(err, unix.ENOENT) {
			return nil
		}
		return fmt.Errorf("receive notification: %w", err)
	}
	valid := func() bool { return ioctl(listener, validRequest, unsafe.Pointer(&n.id)) == nil }
	r := reply{id: n.id}
	pass, err := n.answer(valid, owners)
	switch {
	case pass:
		r.flags = unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE
	case err != nil:
		var errno unix.Errno
		if !errors.As(err, &errno) {
			errno = unix.EIO
		}
		r.errno = -int32(errno)
	}
	err = ioctl(listener, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&r))
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("answer notification: %w", err)
	}
	return nil
}

func ioctl(fd int, request uintptr, argument unsafe.Pointer) error {
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(argument))
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return errno
		}
	}
}
