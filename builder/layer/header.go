package layer

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

const blockSize = 512

// Field sizes and limits of a ustar header (POSIX.1-1988), and the values
// beyond which a PAX record has to carry what the field cannot.
const (
	nameSize   = 100
	prefixSize = 155
	ownerSize  = 32        // uname, gname, with a closing NUL
	maxOctal7  = 1<<21 - 1 // mode, uid, gid
	maxOctal11 = 1<<33 - 1 // size, mtime
	paxName    = "././@PaxHeader"
)

// kind is the type of a tar entry, as its typeflag says it.
type kind byte

const (
	kindFile    kind = '0'
	kindLink    kind = '1'
	kindSymlink kind = '2'
	kindDir     kind = '5'
	kindPAX     kind = 'x'
)

// A header says all that an entry's tar header says. It is built field by
// field from what terrine means to say and never from a file's metadata, so
// that nothing of a machine gets into the bytes.
type header struct {
	name  string // relative; a directory's ends in a slash
	link  string
	kind  kind
	mode  uint32
	size  int64
	owner *Owner
}

// appendHeader appends h in ustar format, after a PAX header for whatever
// ustar cannot hold. For ASCII names the ustar block is the one that
// archive/tar writes. Other names are written as they are, byte for byte, which
// all readers take; a PAX record of one that is not UTF-8 says so.
//
// See https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html.
func appendHeader(dst []byte, h *header) []byte {
	if h.plain() {
		return appendBlock(dst, h, "", h.name)
	}
	prefix, name, split := splitName(h.name)
	if pax := h.paxRecords(split); len(pax) > 0 {
		ext := header{name: paxName, kind: kindPAX, mode: 0o644, size: int64(len(pax)), owner: &Owner{}}
		dst = appendBlock(dst, &ext, "", ext.name)
		dst = append(dst, pax...)
		dst = appendZeros(dst, padding(int64(len(pax))))
	}
	return appendBlock(dst, h, prefix, name)
}

// headerSize returns the number of bytes that appendHeader appends.
func headerSize(h *header) int64 {
	if h.plain() {
		return blockSize
	}
	_, _, split := splitName(h.name)
	pax := int64(len(h.paxRecords(split)))
	if pax == 0 {
		return blockSize
	}
	return 2*blockSize + pax + padding(pax)
}

// plain reports whether h fits one block without a prefix, as nearly all do.
func (h *header) plain() bool {
	return len(h.name) <= nameSize && len(h.link) <= nameSize && h.size <= maxOctal11 && h.owner.plain()
}

// paxRecords returns the PAX records that h needs, sorted by key as archive/tar
// sorts them. split says that the name fits the ustar fields.
func (h *header) paxRecords(split bool) []byte {
	var recs []byte
	add := func(key, value string) { recs = appendPAXRecord(recs, key, value) }
	o := h.owner
	if o.GID > maxOctal7 {
		add("gid", strconv.Itoa(o.GID))
	}
	if len(o.Gname) >= ownerSize {
		add("gname", o.Gname)
	}
	longLink := len(h.link) > nameSize
	if !split && !utf8.ValidString(h.name) || longLink && !utf8.ValidString(h.link) {
		add("hdrcharset", "BINARY")
	}
	if longLink {
		add("linkpath", h.link)
	}
	if o.Mtime < 0 || o.Mtime > maxOctal11 {
		add("mtime", strconv.FormatInt(o.Mtime, 10))
	}
	if !split {
		add("path", h.name)
	}
	if h.size > maxOctal11 {
		add("size", strconv.FormatInt(h.size, 10))
	}
	if o.UID > maxOctal7 {
		add("uid", strconv.Itoa(o.UID))
	}
	if len(o.Uname) >= ownerSize {
		add("uname", o.Uname)
	}
	return recs
}

// appendPAXRecord appends "LENGTH KEY=VALUE\n", where LENGTH counts itself.
func appendPAXRecord(dst []byte, key, value string) []byte {
	const frame = 3 // blank, equals sign, newline
	size := len(key) + len(value) + frame
	size += len(strconv.Itoa(size))
	if n := len(key) + len(value) + frame + len(strconv.Itoa(size)); n != size {
		size = n
	}
	dst = strconv.AppendInt(dst, int64(size), 10)
	dst = append(dst, ' ')
	dst = append(dst, key...)
	dst = append(dst, '=')
	dst = append(dst, value...)
	return append(dst, '\n')
}

// splitName splits a name at the slash that archive/tar splits it at, so that
// it fits the ustar fields prefix and name; ok is false if none does.
func splitName[T string | []byte](s T) (prefix, name T, ok bool) {
	var none T
	if len(s) <= nameSize {
		return none, s, true
	}
	n := len(s)
	if n > prefixSize+1 {
		n = prefixSize + 1
	} else if s[n-1] == '/' {
		n--
	}
	i := lastSlash(s[:n])
	if i <= 0 || len(s)-i-1 > nameSize || len(s)-i-1 == 0 || i > prefixSize {
		return none, s, false
	}
	return s[:i], s[i+1:], true
}

// appendBlock appends the one block of a ustar header. A name that does not fit is cut.
func appendBlock(dst []byte, h *header, prefix, name string) []byte {
	start := len(dst)
	dst = appendZeros(dst, blockSize)
	b := dst[start:]
	o := h.owner
	copy(b[0:nameSize], name)
	putOctal(b[100:108], uint64(h.mode))
	putOctal(b[108:116], fit(int64(o.UID), maxOctal7))
	putOctal(b[116:124], fit(int64(o.GID), maxOctal7))
	putOctal(b[124:136], fit(h.size, maxOctal11))
	putOctal(b[136:148], fit(o.Mtime, maxOctal11))
	b[156] = byte(h.kind)
	copy(b[157:257], h.link)
	copy(b[257:265], "ustar\x0000")
	copy(b[265:265+ownerSize-1], o.Uname)
	copy(b[297:297+ownerSize-1], o.Gname)
	putOctal(b[329:337], 0) // devmajor
	putOctal(b[337:345], 0) // devminor
	copy(b[345:500], prefix)

	copy(b[148:156], "        ")
	var sum uint64
	for _, c := range b {
		sum += uint64(c)
	}
	putOctal(b[148:155], sum)
	return dst
}

// fit returns n, or 0 where a PAX record carries it because it does not fit.
func fit(n, limit int64) uint64 {
	if n < 0 || n > limit {
		return 0
	}
	return uint64(n)
}

// putOctal fills b with n in octal, zero-padded, and a closing NUL.
func putOctal(b []byte, n uint64) {
	i := len(b) - 1
	b[i] = 0
	for i--; i >= 0; i-- {
		b[i] = '0' + byte(n&7)
		n >>= 3
	}
}

// padding returns the number of zero bytes that follow n bytes of content.
func padding(n int64) int64 { return -n & (blockSize - 1) }

var zeros [2 * blockSize]byte

// appendZeros appends n zero bytes, at most two blocks.
func appendZeros(dst []byte, n int64) []byte { return append(dst, zeros[:n]...) }

// AppendMember appends the header of a member of an archive around layers:
// a file of size bytes, or a directory if the name ends in a slash. It belongs to
// root and dates from one second past the epoch. The caller appends the content
// and MemberPadding.
func AppendMember(dst []byte, name string, size int64) []byte {
	h := memberHeader(name, size)
	return appendHeader(dst, &h)
}

// MemberSize returns the number of bytes that AppendMember appends.
func MemberSize(name string, size int64) int64 {
	h := memberHeader(name, size)
	return headerSize(&h)
}

func memberHeader(name string, size int64) header {
	owner := defaultOwner()
	h := header{name: name, kind: kindFile, mode: 0o644, size: size, owner: &owner}
	if strings.HasSuffix(name, "/") {
		h.kind, h.mode = kindDir, 0o755
	}
	return h
}

// MemberPadding returns how many zero bytes follow a member of size bytes.
func MemberPadding(size int64) int64 { return padding(size) }
