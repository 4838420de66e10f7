package commands

import "os"

// Owners are the owners that files shall have in the image, and do not have on
// disk. The zero value is empty. It is for one goroutine.
type Owners struct{ byFile map[fileID]owner }

// fileID tells a file from all others, also from those that had its inode
// before it.
type fileID struct {
	Dev, Ino, Birth uint64
}

type owner struct{ UID, GID int }

// set notes an owner. An id of -1 changes nothing, as for chown.
func (o *Owners) set(id fileID, to owner) {
	was := o.byFile[id]
	if to.UID < 0 {
		to.UID = was.UID
	}
	if to.GID < 0 {
		to.GID = was.GID
	}
	if o.byFile == nil {
		o.byFile = make(map[fileID]owner)
	}
	o.byFile[id] = to
}

// Set notes that the file at path, which may be a symbolic link, belongs to uid
// and gid.
func (o *Owners) Set(path string, uid, gid int) error {
	id, _, err := identify(path)
	if err != nil {
		return err
	}
	o.set(id, owner{uid, gid})
	return nil
}

// Of returns to whom the file at path belongs in the image: to those noted, or
// to those on disk. What belongs to this process belongs to root.
func (o *Owners) Of(path string) (uid, gid int, err error) {
	id, disk, err := identify(path)
	if err != nil {
		return 0, 0, err
	}
	if noted, ok := o.byFile[id]; ok {
		return noted.UID, noted.GID, nil
	}
	if disk.UID == os.Geteuid() {
		disk.UID = 0
	}
	if disk.GID == os.Getegid() {
		disk.GID = 0
	}
	return disk.UID, disk.GID, nil
}
