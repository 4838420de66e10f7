package rootfs

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"terrine/store"
	"terrine/store/fault"
	"terrine/tests/need"
)

// attributes is a line for each entry: what an image shows of it.
func attributes(t *testing.T, entries []Entry) []string {
	t.Helper()
	var lines []string
	for _, e := range entries {
		text := e.Text
		if e.Source != "" {
			var err error
			if text, err = os.ReadFile(e.Source); err != nil {
				t.Fatal(err)
			}
		}
		lines = append(lines, fmt.Sprintf("%q %s %04o %d:%d %q %q", e.Name, e.Kind, e.Mode, e.UID, e.GID, e.Link, text))
	}
	return lines
}

func bits(m uint32) *uint32 { return &m }

func id(i int) *int { return &i }

// A tree that was written to disk and recorded is the tree that it was.
func TestRecordedTreeIsTheSame(t *testing.T) {
	f := newFixture(t)
	odd := "etc/odd \x01\\#=*?[\n name\xff"
	o := Options{
		StoreDir: store.DefaultDir, Find: f.find, Tmp: true, FakeNss: &FakeNss{},
		Contents: []store.Object{f.object("a", "bin/sh* text", "lib/x -> y")},
		Files: []FileSpec{
			{Path: "etc/secret", Text: []byte("s"), Attributes: Attributes{Mode: bits(0o000), UID: id(1000), GID: id(100)}},
			{Path: "etc/copied", Source: string(f.path("a")) + "/bin/sh"},
			{Path: "home/u", Directory: true, Attributes: Attributes{Mode: bits(0o2550), UID: id(1000)}},
			{Path: "home/u/f", Text: []byte{}, Attributes: Attributes{Mode: bits(0o4755)}},
			{Path: odd, Text: []byte("odd")},
			{Path: "link", Link: "etc", Attributes: Attributes{UID: id(7)}},
		},
	}
	want, err := Build(t.Context(), o)
	f.check(err)
	src := filepath.Join(need.TempDir(t), "src")
	f.check(os.Mkdir(src, 0o755))
	owners := map[string][2]int{}
	f.check(want.Write(t.Context(), src, func(path string, uid, gid int) error {
		owners[path] = [2]int{uid, gid}
		return nil
	}))
	rec := store.Object{Info: store.Info{Path: f.path("r")}, Dir: f.dir}
	f.check(Record(t.Context(), src, filepath.Join(f.dir, rec.Path.Base()), func(path string) (int, int, error) {
		return owners[path][0], owners[path][1], nil
	}))
	got, err := Build(t.Context(), Options{Recorded: &rec})
	f.check(err)
	if diff := cmp.Diff(attributes(t, entries(t, want)), attributes(t, entries(t, got))); diff != "" {
		t.Error(diff)
	}
}

// The root and the store directory are in every image, and in the tree if
// commands have given them another mode or owner.
func TestRecordedRootAndStore(t *testing.T) {
	for _, test := range []struct {
		name   string
		mode   map[string]os.FileMode
		owners map[string]int
		want   []string
	}{
		{name: "as they always are", want: []string{`"nix" directory 0755 0:0 "" ""`}},
		{
			name: "others", mode: map[string]os.FileMode{".": 0o700, "nix/store": 0o777 | os.ModeSticky}, owners: map[string]int{".": 1000},
			want: []string{`"." directory 0700 1000:1000 "" ""`, `"nix" directory 0755 0:0 "" ""`, `"nix/store" directory 1777 0:0 "" ""`},
		},
		{
			name: "other owners", owners: map[string]int{".": 5, "nix/store": 6},
			want: []string{`"." directory 0755 5:5 "" ""`, `"nix" directory 0755 0:0 "" ""`, `"nix/store" directory 0755 6:6 "" ""`},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			src := filepath.Join(t.TempDir(), "src")
			f.check(os.MkdirAll(filepath.Join(src, "nix/store"), 0o755))
			for name, mode := range test.mode {
				f.check(os.Chmod(filepath.Join(src, name), mode))
			}
			rec := store.Object{Info: store.Info{Path: f.path("r")}, Dir: f.dir}
			f.check(Record(t.Context(), src, filepath.Join(f.dir, rec.Path.Base()), func(path string) (int, int, error) {
				at, err := filepath.Rel(src, path)
				return test.owners[at], test.owners[at], err
			}))
			got, err := Build(t.Context(), Options{Recorded: &rec})
			f.check(err)
			if diff := cmp.Diff(test.want, attributes(t, entries(t, got))); diff != "" {
				t.Error(diff)
			}
			again := t.TempDir()
			f.check(got.Write(t.Context(), again, nil))
			if info, err := os.Stat(again); err != nil || test.mode["."] != 0 && info.Mode().Perm() != test.mode["."] {
				t.Errorf("the root that is written: %v, %v", info.Mode(), err)
			}
		})
	}
}

// What comes after the recorded tree joins it and gives way to it.
func TestContentsOverRecordedTree(t *testing.T) {
	f := newFixture(t)
	rec := recorded(t, f, "dir type=dir mode=0750 uid=1 gid=2", "dir/f type=file mode=0600 uid=3 gid=4")
	got, err := Build(t.Context(), Options{
		Recorded: &rec,
		Contents: []store.Object{f.object("a", "dir/f other", "dir/g new")},
		Perms:    []Perm{{Glob: "dir/g", Attributes: Attributes{UID: id(9)}}},
	})
	f.check(err)
	want := []string{
		`"dir" directory 0750 1:2 "" ""`,
		`"dir/f" file 0600 3:4 "" "text of dir/f"`,
		fmt.Sprintf(`"dir/g" symbolic link 0777 9:0 %q ""`, f.path("a")+"/dir/g"),
	}
	if diff := cmp.Diff(want, attributes(t, entries(t, got))); diff != "" {
		t.Error(diff)
	}
	if len(got.Conflicts()) != 1 {
		t.Errorf("conflicts %v", got.Conflicts())
	}
}

// recorded makes a store object with a listing and the files that it has.
func recorded(t *testing.T, f *fixture, lines ...string) store.Object {
	t.Helper()
	obj := f.object("r", "tree/")
	root := filepath.Join(f.dir, obj.Path.Base())
	f.check(os.WriteFile(filepath.Join(root, "mtree"), []byte("#mtree\n"+strings.Join(prefixed(lines), "")), 0o600))
	for _, line := range lines {
		name, rest, _ := strings.Cut(line, " ")
		at := filepath.Join(root, "tree", name)
		switch {
		case strings.Contains(rest, "missing"):
		case strings.Contains(rest, "type=dir"):
			f.check(os.MkdirAll(at, 0o755))
		default:
			f.check(os.WriteFile(at, []byte("text of "+name), 0o600))
		}
	}
	return obj
}

func prefixed(lines []string) []string {
	var all []string
	for _, line := range lines {
		all = append(all, "./"+strings.TrimSuffix(line, " missing")+"\n")
	}
	return all
}

func TestRecordedTreeIsChecked(t *testing.T) {
	for _, test := range []struct {
		lines []string
		want  string
	}{
		{[]string{"f type=file mode=0644 uid=0 gid=0 missing"}, `"f" is listed and not there`},
		{[]string{"f type=dir mode=0644 uid=0 gid=0", "f/g type=link mode=0644 uid=0 gid=0"}, `"f/g" is a file, and listed as a symbolic link`},
		{[]string{"f type=file mode=0644 uid=0 gid=0", "f type=file mode=0644 uid=0 gid=0"}, `mtree:3: "f" is listed twice`},
		{[]string{"f type=file mode=10000 uid=0 gid=0"}, `"10000" is no mode`},
		{[]string{"f type=file mode=0644 uid=-1 gid=0"}, `"-1" is no uid`},
		{[]string{"f type=file mode=0644 uid=0"}, `has 3 attributes`},
		{[]string{"f type=block mode=0644 uid=0 gid=0"}, `unknown type "block"`},
		{[]string{`f\08 type=file mode=0644 uid=0 gid=0 missing`}, `a backslash without three digits`},
		{[]string{".wh.f type=file mode=0644 uid=0 gid=0"}, `.wh.`},
		{[]string{"nix/store type=dir mode=0755 uid=0 gid=0 missing"}, `"nix/store" is listed and not "nix"`},
		{[]string{"nix type=dir mode=0755 uid=0 gid=0", "nix/store type=link mode=0755 uid=0 gid=0 missing"}, `"nix/store" is listed as a symbolic link`},
	} {
		f := newFixture(t)
		rec := recorded(t, f, test.lines...)
		_, err := Build(t.Context(), Options{Recorded: &rec})
		if err == nil || !strings.Contains(err.Error(), test.want) || fault.CodeOf(err) != fault.Refused {
			t.Errorf("%q: error %v, want %q in it", test.lines, err, test.want)
		}
	}
	f := newFixture(t)
	rec := recorded(t, f)
	f.check(os.WriteFile(filepath.Join(f.dir, rec.Path.Base(), "tree", "extra"), nil, 0o600))
	if _, err := Build(t.Context(), Options{Recorded: &rec}); err == nil || !strings.Contains(err.Error(), `"extra" is there and not listed`) {
		t.Errorf("error %v", err)
	}
	f.check(os.Remove(filepath.Join(f.dir, rec.Path.Base(), "mtree")))
	if _, err := Build(t.Context(), Options{Recorded: &rec}); fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), "read mtree: ") {
		t.Errorf("without a list: %v", err)
	}
	f.check(os.Symlink("tree/extra", filepath.Join(f.dir, rec.Path.Base(), "mtree")))
	if _, err := Build(t.Context(), Options{Recorded: &rec}); fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("with a link for a list: %v", err)
	}
}

func TestRecordRefuses(t *testing.T) {
	root := func(string) (int, int, error) { return 0, 0, nil }
	for want, make := range map[string]func(dir string) error{
		`"pipe": it is neither file, directory nor symbolic link`: func(dir string) error { return syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600) },
		`.wh.x`: func(dir string) error { return os.WriteFile(filepath.Join(dir, ".wh.x"), nil, 0o600) },
		`"nix/store/x": nothing can stand in the store directory`: func(dir string) error { return os.MkdirAll(filepath.Join(dir, "nix/store/x"), 0o755) },
	} {
		src := t.TempDir()
		if err := make(src); err != nil {
			t.Fatal(err)
		}
		err := Record(t.Context(), src, filepath.Join(t.TempDir(), "dst"), root)
		if err == nil || !strings.Contains(err.Error(), want) || fault.CodeOf(err) != fault.Refused {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
}

func FuzzParseListing(f *testing.F) {
	f.Add([]byte("#mtree\n./a type=dir mode=0755 uid=0 gid=0\n./a/b\\040c type=file mode=04755 uid=1000 gid=4294967294\n"))
	f.Add([]byte("#mtree\n. type=dir mode=01777 uid=1 gid=2\n./nix/store type=dir mode=01777 uid=0 gid=0\n"))
	f.Add([]byte("#mtree\n./l type=link mode=0777 uid=0 gid=0"))
	f.Fuzz(func(t *testing.T, data []byte) {
		listed, err := parseListing(bytes.NewReader(data))
		if err != nil {
			return
		}
		var again bytes.Buffer
		again.WriteString("#mtree\n")
		for _, name := range slices.Sorted(maps.Keys(listed)) {
			if err := writeListed(&again, listed[name]); err != nil {
				t.Fatal(err)
			}
		}
		same, err := parseListing(&again)
		if diff := cmp.Diff(listed, same); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	})
}
