package layer

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"strconv"

	"github.com/opencontainers/go-digest"

	"terrine/store"
)

// Key returns the key of the layer that holds objects in this order: what it
// will be, known without opening a file. It covers the format, the policy, and the
// path and NAR hash of each object, so that two machines with different builds of
// one path never mix their layers. It does not cover how the layer is compressed.
func Key(policy Policy, objects store.Objects) digest.Digest {
	k := newKeyHash("layer", policy)
	for i := range objects.Len() {
		o := objects.At(i)
		k.add(string(o.Path), o.NARHash.String())
	}
	return k.sum()
}

// SegmentKey returns the key of the part of a layer that holds object.
func SegmentKey(policy Policy, object store.Object) digest.Digest {
	k := newKeyHash("segment", policy)
	k.add(string(object.Path), object.NARHash.String())
	return k.sum()
}

// A keyHash hashes strings with their lengths before them, so that no two lists
// of strings give the same bytes.
type keyHash struct {
	hash hash.Hash // of what is hashed already, nil while that is nothing
	b    []byte    // not yet hashed
}

func newKeyHash(what string, p Policy) *keyHash {
	if p.ContentDedup {
		what += " with content-dedup"
	}
	o := p.Owner
	k := &keyHash{b: make([]byte, 0, 512)} // for a segment it suffices
	k.add("terrine", what, strconv.Itoa(Format), strconv.Itoa(o.UID), strconv.Itoa(o.GID), o.Uname, o.Gname, strconv.FormatInt(o.Mtime, 10))
	return k
}

func (k *keyHash) add(parts ...string) {
	for _, s := range parts {
		k.b = binary.BigEndian.AppendUint64(k.b, uint64(len(s)))
		k.b = append(k.b, s...)
	}
	const enough = 4096 // for calls of the hash to cost nothing
	if len(k.b) >= enough {
		if k.hash == nil {
			k.hash = sha256.New()
		}
		k.hash.Write(k.b)
		k.b = k.b[:0]
	}
}

func (k *keyHash) sum() digest.Digest {
	if k.hash == nil {
		sum := sha256.Sum256(k.b)
		return digestOf(sum[:])
	}
	k.hash.Write(k.b)
	return digestOf(k.hash.Sum(k.b[:0]))
}

// digestOf is digest.NewDigestFromBytes for SHA-256, without its garbage: there is a
// key for every store path.
func digestOf(sum []byte) digest.Digest {
	return digest.Digest(digest.SHA256.String() + ":" + hex.EncodeToString(sum))
}
