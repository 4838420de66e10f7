package commands

import (
	"os"

	"golang.org/x/sys/unix"

	"terrine/store/fault"
)

// identify returns what the file at path, not what it links to, is known by,
// and its owner on disk.
func identify(path string) (fileID, owner, error) {
	return identifyAt(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW)
}

func identifyAt(dirfd int, path string, flags int) (fileID, owner, error) {
	var st unix.Statx_t
	err := fault.Retry(func() error {
		return unix.Statx(dirfd, path, flags, unix.STATX_BASIC_STATS|unix.STATX_BTIME, &st)
	})
	if err != nil {
		return fileID{}, owner{}, &os.PathError{Op: "statx", Path: path, Err: err}
	}
	id := fileID{Dev: unix.Mkdev(st.Dev_major, st.Dev_minor), Ino: st.Ino}
	if st.Mask&unix.STATX_BTIME != 0 {
		id.Birth = uint64(st.Btime.Sec)*1e9 + uint64(st.Btime.Nsec)
	}
	return id, owner{int(st.Uid), int(st.Gid)}, nil
}

// ownedFile is what is noted of a file, for another process.
type ownedFile struct {
	File  fileID
	Owner owner
}

func (o *Owners) list() []ownedFile {
	all := make([]ownedFile, 0, len(o.byFile))
	for id, to := range o.byFile {
		all = append(all, ownedFile{id, to})
	}
	return all
}

func (o *Owners) add(files []ownedFile) {
	for _, f := range files {
		o.set(f.File, f.Owner)
	}
}
