package commands

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_X86_64

// calls are those that change owners or tell them, by number.
func calls() map[int]call {
	return map[int]call{
		unix.SYS_CHOWN:      {op: opChown, dir: none, path: 0, flags: none, owner: 1},
		unix.SYS_LCHOWN:     {op: opChown, dir: none, path: 0, flags: none, owner: 1, nofollow: true},
		unix.SYS_FCHOWN:     fchownCall,
		unix.SYS_FCHOWNAT:   fchownatCall,
		unix.SYS_STAT:       {op: opStat, dir: none, path: 0, flags: none, out: 1},
		unix.SYS_LSTAT:      {op: opStat, dir: none, path: 0, flags: none, out: 1, nofollow: true},
		unix.SYS_FSTAT:      fstatCall,
		unix.SYS_NEWFSTATAT: newfstatatCall,
		unix.SYS_STATX:      statxCall,
	}
}
