// Package store keeps Nix store objects: what their paths are, what is known
// of them, and a store of terrine's own that holds them.
//
// # On disk
//
// A [Store] is a directory ROOT, which may lie anywhere. The paths of its
// objects are those of [Options].Dir, /nix/store, wherever ROOT is:
//
//	ROOT/nix
//	├── store/
//	│   ├── HASH-NAME          an object: files 0444 or 0555, directories 0555, mtime 1
//	│   ├── .tmp-OWNER-N       an object on its way, or one being removed
//	│   └── .links/HASH        a file that equal files of objects are hard links to, by its NAR hash
//	└── var/terrine/
//	    ├── db.bolt            the index (see package durable for its three files)
//	    │   └── paths/HASH-NAME → record
//	    ├── db.lock, db.exists
//	    ├── info/HASH-NAME     the record again, with a checksum: what the index is rebuilt from
//	    ├── locks/HASH-NAME.lock   held by who makes that object; HASH.lock, of an indirect root
//	    ├── roots/NAME         a named root: a symlink to the store path
//	    ├── links/HASH         an indirect root: a symlink to the symlink that leads to the object
//	    ├── store.lock         shared by who publishes, exclusive for who collects or rebuilds
//	    ├── store.gate         where those who want store.lock wait for their turn
//	    └── owners/PID-TOKEN   held by a process that writes or uses paths; lists its
//	                           .tmp-OWNER-N, and the paths that it uses
//
// A record is text, one field a line, named as in a narinfo: StorePath,
// NarHash, NarSize, References (base names), Deriver, Sig, CA, Registered
// (seconds since 1970).
//
// # Invariants
//
//   - A path is valid if and only if the index has a row for it.
//   - A row is written only when its object and its info file are on disk: temporary
//     directory, rename, one syncfs for the batch, row. What has no row is
//     garbage, and the next one to make that object removes it.
//   - What a valid path refers to is valid.
//   - Where there is an object or an info file there was an index: no other is made
//     but by a rebuild.
//   - db.exists never says more than what is on disk, so an index that has less is
//     an older one, and refused.
//   - A row is removed, on disk, before the object loses its name. Rows are
//     removed only under the exclusive store.lock, and never of what a root, or
//     a file of owners that is held, leads to.
//   - An indirect root is in links before its symlink is made, under the shared
//     store.lock, and is forgotten under the exclusive one, or by who has removed the
//     symlink and holds its lock.
//   - Locks are taken in this order: of paths or of one indirect root, store.gate,
//     store.lock, db.lock.
//   - An object is made under its lock. Locks of several are taken in sorted order,
//     or as they come by one who lets go of all before waiting for another.
//   - What an OWNER left that is not running any more is removed by the next
//     process that writes.
//
// So a kill or a power cut at any instant leaves a store that is valid, and
// the same command succeeds. Every number of processes and goroutines may use
// one store at once.
package store
