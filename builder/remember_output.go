package builder

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"terrine/builder/memo"
)

// saveOutput remembers that out holds the image r, if it is a file, which written
// describes: another build may have put its image in the place of that by now.
func (m *Memo) saveOutput(ctx context.Context, r *Result, out Output, written fs.FileInfo) {
	if m == nil || written == nil {
		return
	}
	path, stat := outputStat(out)
	if path == "" {
		return
	}
	is, err := os.Lstat(path)
	if err != nil || !os.SameFile(is, written) || is.Size() != written.Size() || !is.ModTime().Equal(written.ModTime()) {
		return
	}
	row := memo.Output{Key: outputKey(r, out), Stat: stat}
	if out.NoSync {
		row.Boot = bootID()
	}
	if !out.NoSync || row.Boot != "" {
		m.warn(m.memo.SaveOutput(ctx, path, row))
	}
}

// bootID names the run of the system since it was started; it is empty where
// nothing does.
func bootID() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id))
}

// isWritten reports whether out is a file that holds the image r, as far as one
// can tell without reading it: a build that r's digests come from wrote it, and
// it was not touched since.
func (m *Memo) isWritten(ctx context.Context, r *Result, out Output) bool {
	path, stat := outputStat(out)
	if m == nil || path == "" {
		return false
	}
	was, err := m.memo.Output(ctx, path)
	if err != nil || was == nil || was.Stat != stat || was.Key != outputKey(r, out) {
		return false
	}
	return was.Boot == "" || out.NoSync && was.Boot == bootID()
}

// outputKey says all that the bytes of an output depend on.
func outputKey(r *Result, out Output) digest.Digest {
	key := struct {
		Layout     int
		Manifest   digest.Digest
		Codec      string
		OneMember  bool
		References []string
	}{archiveLayout, r.Digest, out.Codec.ID(), out.OneMember, []string{r.Reference.String()}}
	for _, ref := range out.References {
		key.References = append(key.References, ref.String())
	}
	text, err := json.Marshal(key)
	if err != nil {
		panic(err) // it is made of strings
	}
	return digest.FromBytes(text)
}

// archiveLayout changes when the archive sink writes other bytes for the same
// image.
const archiveLayout = 1

// outputStat returns the absolute path of a file that is there, and what would
// change if somebody wrote to it or put another in its place. path is empty for
// any other output.
func outputStat(out Output) (path, stat string) {
	if out.Path == "" {
		return "", ""
	}
	path, err := filepath.EvalSymlinks(out.Path)
	if err != nil {
		return "", ""
	}
	if path, err = filepath.Abs(path); err != nil {
		return "", ""
	}
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil || uint32(st.Mode)&unix.S_IFMT != unix.S_IFREG {
		return "", ""
	}
	return path, fmt.Sprint(st.Dev, st.Ino, st.Size, st.Mtim.Nano(), st.Ctim.Nano())
}
