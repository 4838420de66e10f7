package nixdb

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"terrine/store"
	"terrine/store/fault"
	"terrine/tests/need"
)

// path has a long name, so that few of them fill a page.
func path(i int) store.Path {
	sum := sha256.Sum256([]byte(fmt.Sprint(i)))
	return store.Path("/nix/store/" + store.EncodeBase32(sum[:20]) + "-" + strings.Repeat("x", 160) + fmt.Sprintf("-path-%d", i))
}

// closure returns n paths, each of which refers to itself and to some with
// lower numbers.
func closure(n int) []*store.Info {
	infos := make([]*store.Info, n)
	for i := range infos {
		info := &store.Info{Path: path(i), NARHash: digest.FromString(fmt.Sprint(i)), NARSize: int64(i) << (i % 30)}
		for j := i; j > 0; j = j / 2 {
			info.References = append(info.References, path(j))
		}
		if i%7 == 0 {
			info.CA = "fixed:r:sha256:" + strings.Repeat("0", 52)
		}
		infos[n-1-i] = info // the order must not matter
	}
	return infos
}

// ask has the real SQLite look at the databases of closures of n paths, and
// prints what it says of each in a line.
const ask = `
import sqlite3, sys
for name in sys.argv[1:]:
    db = sqlite3.connect("file:" + name + "?mode=ro", uri=True)
    def row(question):
        return "|".join(str(v) for v in (db.execute(question).fetchone() or ["none"]))
    print(row("pragma integrity_check"), row("pragma foreign_key_check"),
        row("select name, tbl_name from sqlite_master where type = 'trigger'"), row("select * from sqlite_sequence"),
        row("select count(*), coalesce(max(id), 0), coalesce(sum(narSize), 0) from ValidPaths"),
        row("select count(*) from Refs"), row("select count(*) from Refs where referrer = reference"),
        row("select path, hash, registrationTime, ca from ValidPaths where path like '%-path-7'"))
`

// SQLite itself finds the database sound, whatever the number of levels that
// its trees have and however full the last pages are.
func TestBuildIsSound(t *testing.T) {
	python := need.Program(t, "python3")
	var want strings.Builder
	args := []string{"-c", ask}
	dir := t.TempDir()
	for n := 0; n < 5000; n += 1 + n*n/8000 + n*n*n/5_000_000 {
		infos := closure(n)
		data, err := Build(infos)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, fmt.Sprint(n))
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, file)
		seven, last := "none", "none"
		if n > 0 {
			last = fmt.Sprintf("ValidPaths|%d", n)
		}
		if n > 7 {
			seven = string(path(7)) + "|sha256:" + digest.FromString("7").Encoded() + "|1|fixed:r:sha256:" + strings.Repeat("0", 52)
		}
		refs, size := 0, int64(0)
		for _, info := range infos {
			refs += len(info.References)
			size += info.NARSize
		}
		fmt.Fprintf(&want, "ok none DeleteSelfRefs|ValidPaths %s %d|%d|%d %d %d %s\n", last, n, n, size, refs, max(0, n-1), seven)
	}
	said, err := exec.CommandContext(t.Context(), python, args...).CombinedOutput()
	if err != nil || string(said) != want.String() {
		t.Errorf("%v\nSQLite says:\n%s\nwant:\n%s", err, said, want.String())
	}
	if len(args) < 40 {
		t.Errorf("only %d databases", len(args))
	}
}

func TestBuildIsAFunctionOfTheClosure(t *testing.T) {
	a, err := Build(closure(100))
	if err != nil {
		t.Fatal(err)
	}
	infos := closure(100)
	infos[3], infos[70] = infos[70], infos[3]
	infos[5].Deriver, infos[5].Signatures = "/nix/store/00bgd045z0d4icpbc2yyz4gx48ak44la-x.drv", []string{"key:sig"}
	b, err := Build(infos)
	if err != nil || !bytes.Equal(a, b) {
		t.Errorf("another order, deriver or signature gives another database: %v", err)
	}
}

func TestBuildRefuses(t *testing.T) {
	infos := closure(3)
	infos[0].References = append(infos[0].References, path(99))
	long := closure(3)
	long[0].CA = "fixed:r:sha256:" + strings.Repeat("0", pageSize)
	for _, bad := range [][]*store.Info{infos, append(closure(1), closure(3)...), long} {
		if _, err := Build(bad); fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), string(bad[0].Path)) {
			t.Errorf("%v", err)
		}
	}
}
