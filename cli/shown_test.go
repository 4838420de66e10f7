package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"terrine/tests/need"
)

// slow runs commands in a directory of its own, with a clock by which everything
// takes minutes.
type slow struct {
	*testing.T
	dir   string
	clock *clock
}

func newSlow(t *testing.T) *slow {
	s := &slow{t, need.TempDir(t), newClock()}
	t.Chdir(s.dir)
	return s
}

func (s *slow) write(name, text string) {
	s.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		s.Fatal(err)
	}
}

// run runs a command, wants its exit code, and returns what it wrote.
func (s *slow) run(code int, line string) (stdout, stderr string) {
	s.Helper()
	var out, said bytes.Buffer
	env := &Env{
		Args: strings.Fields(line), Stdin: strings.NewReader(""), Stdout: &out, Stderr: &said,
		Getenv: func(name string) string {
			return map[string]string{storeVar: filepath.Join(s.dir, "store"), cacheVar: filepath.Join(s.dir, "cache")}[name]
		},
		Now: func() time.Time {
			s.clock.add(time.Minute)
			return s.clock.now()
		},
	}
	if got := Main(s.Context(), env); got != code {
		s.Fatalf("%s: exit code %d, want %d: %s", line, got, code, said.String())
	}
	return out.String(), said.String()
}

// says wants a command to show what matches want, and nothing of it with --quiet.
func (s *slow) says(code int, line, want string) {
	s.Helper()
	shown := regexp.MustCompile("(?m)^" + want + " in [0-9]+ min 00 s")
	if _, said := s.run(code, line); !shown.MatchString(said) {
		s.Errorf("%s: said %q, want a line like %q", line, said, shown)
	}
	if _, said := s.run(code, line+" --quiet"); shown.MatchString(said) {
		s.Errorf("%s --quiet: said %q", line, said)
	}
}

// TestReadingIsShown: whatever reads an archive shows how far it is.
func TestReadingIsShown(t *testing.T) {
	s := newSlow(t)
	if err := os.Mkdir("lib", 0o755); err != nil {
		t.Fatal(err)
	}
	s.write("lib/f", strings.Repeat("lib", 1000))
	s.write("old.json", `{"name": "old", "contents": [{"path": "./lib"}]}`)
	s.run(0, "build old.json --quiet -o old.tar")
	plan, _ := s.run(0, "plan old.json --json")
	s.write("plan.json", plan)
	read := `read old\.tar: [0-9.]+ kB`
	s.says(0, "plan old.json --previous old.tar", read)
	s.says(0, "plan old.json --compare old.tar", read)
	s.says(0, "plan old.json --plan old.tar", read)
	s.says(13, "plan old.json --max-layers 2 --base old.tar", `read: [0-9.]+ kB`)
	s.says(0, "probe old.json --previous old.tar", read)
	s.says(0, "build old.json --previous old.tar -o new.tar --force", read)
	s.says(0, "learn old.tar plan.json", `(?s)`+read+` in .*^`+read+` in .*^read plan\.json: [0-9.]+ k?B`)
	s.says(0, "inspect old.tar", `read: [0-9.]+ kB`)
}

// TestCacheWorkIsShown: what looks at the whole cache shows how far it is.
func TestCacheWorkIsShown(t *testing.T) {
	s := newSlow(t)
	if err := os.Mkdir("lib", 0o755); err != nil {
		t.Fatal(err)
	}
	s.write("lib/f", strings.Repeat("lib", 1000))
	s.write("a.json", `{"name": "a", "contents": [{"path": "./lib"}]}`)
	s.run(0, "build a.json --quiet -o a.tar.gz")
	s.says(0, "cache verify", `verify: [0-9.]+ k?B`)
	s.says(0, "cache gc --older-than 1h --dry-run", `remove: done`)
	s.says(0, "cache gc --max-size 1 --dry-run", `remove: [0-9.]+ k?B`)
	s.says(0, "cache clear", `remove: [0-9.]+ k?B`)
}

// TestStoreWorkIsShown: what goes through the whole store shows how far it is.
func TestStoreWorkIsShown(t *testing.T) {
	s := newSlow(t)
	s.write("site", strings.Repeat("site", 1000))
	s.write("other", strings.Repeat("site", 1000))
	s.run(0, "store add site")
	s.run(0, "store add site other --store second")
	added, _ := s.run(0, "store add other")
	damage := func() {
		t.Helper()
		object := filepath.Join("store", strings.TrimSpace(added))
		if err := os.Chmod(object, 0o644); err != nil {
			t.Fatal(err)
		}
		s.write(object, "")
	}
	bytes := `[0-9.]+ kB`
	s.says(0, "store add site", "add site: done")
	s.says(0, "store export "+added, "export: "+bytes)
	s.says(0, "store optimise", "optimise: "+bytes)
	s.says(0, "store verify", "verify: "+bytes)
	s.says(0, "store rebuild", "rebuild: "+bytes)
	damage()
	s.says(10, "store verify --json", "verify: "+bytes)
	_, said := s.run(0, "store verify --repair --from second")
	if want := regexp.MustCompile(`(?m)^repair other: ` + bytes + ` in`); !want.MatchString(said) {
		t.Errorf("a repair said %q", said)
	}
	damage()
	if _, said := s.run(0, "store verify --repair --from second --quiet"); said != "repaired "+added {
		t.Errorf("a quiet repair said %q", said)
	}
	gone, said := s.run(0, "store delete "+added)
	if gone != added || !regexp.MustCompile(`(?m)^remove: `+bytes+` in`).MatchString(said) {
		t.Errorf("delete said %q", said)
	}
	if _, said := s.run(0, "store gc"); !regexp.MustCompile(`(?m)^remove: ` + bytes + ` in`).MatchString(said) {
		t.Errorf("gc said %q", said)
	}
	s.run(0, "store add site")
	if _, said := s.run(0, "store gc --quiet"); strings.Count(said, "\n") != 1 {
		t.Errorf("a quiet gc said %q", said)
	}
}
