// Package binarycache reads Nix binary caches, over HTTP and in directories,
// and writes them in directories.
//
// A cache is a set of files below one place:
//
//	nix-cache-info          the store directory its paths are in
//	DIGEST.narinfo          what is known of the path with that digest, signed
//	nar/FILEHASH.nar.xz     its NAR, compressed; the narinfo says where
//
// # Trust
//
// Nothing that a cache says is believed because the cache says it. A narinfo
// counts if a trusted key has signed it, or if the path is one that is made of
// the hash of its contents. What is downloaded is compared with the narinfo
// while it streams: size and hash of the file, size and hash of the NAR, and
// for paths that are trusted by their contents those too. The store that it
// streams into publishes a path when the stream ends well, and only then.
//
// Credentials are sent to the scheme, host and port of the cache and to
// nothing else, redirects and absolute URLs in narinfos included.
//
// # Writing
//
// A cache is complete at every instant: nix-cache-info comes first; a NAR is on
// disk under its name before the narinfo that names it; a narinfo comes after
// those of the paths it refers to. Any number of processes may write one cache.
//
// See https://nix.dev/manual/nix/latest/protocols/binary-cache/.
package binarycache
