package commands

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_AARCH64

// calls are those that change owners or tell them, by number.
func calls() map[int]call {
	return map[int]call{
		unix.SYS_FCHOWN:   fchownCall,
		unix.SYS_FCHOWNAT: fchownatCall,
		unix.SYS_FSTAT:    fstatCall,
		unix.SYS_FSTATAT:  newfstatatCall,
		unix.SYS_STATX:    statxCall,
	}
}
