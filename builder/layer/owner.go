package layer

import (
	"fmt"
	"math"
	"strings"

	"terrine/store/fault"
)

// Owner is the owner and the time that every entry of a layer carries.
type Owner struct {
	UID, GID     int
	Uname, Gname string
	Mtime        int64 // seconds since 1970
}

// defaultOwner returns root, at one second past the epoch, as in a Nix store.
func defaultOwner() Owner { return Owner{Uname: "root", Gname: "root", Mtime: 1} }

// A Policy is what users decide about the bytes of layers of store objects. It is
// part of every key.
type Policy struct {
	Owner Owner
	// ContentDedup makes hardlinks of files that are equal in content and mode
	// within one store object: to the first by name, whatever links there are on
	// disk.
	ContentDedup bool
}

// maxOwnerID is the largest uid that the kernels of all engines take, or what an
// int holds where that is less.
const maxOwnerID = min(1<<32-2, math.MaxInt)

// Check reports whether a tar header can carry o. Its error has the class
// fault.Refused.
func (o *Owner) Check() error {
	for _, id := range []int{o.UID, o.GID} {
		if id < 0 || id > maxOwnerID {
			return fault.New(fault.Refused, fmt.Errorf("check owner: id %d: want 0 to %d", id, maxOwnerID))
		}
	}
	for _, name := range []string{o.Uname, o.Gname} {
		if len(name) > 255 || strings.ContainsAny(name, "\x00\n:") {
			return fault.New(fault.Refused, fmt.Errorf("check owner: name %q: too long, or with a character that no user name has", name))
		}
	}
	return nil
}

// plain reports whether o fits the fields of a ustar header.
func (o *Owner) plain() bool {
	return o.UID <= maxOctal7 && o.GID <= maxOctal7 && o.Mtime >= 0 && o.Mtime <= maxOctal11 &&
		len(o.Uname) < ownerSize && len(o.Gname) < ownerSize
}
