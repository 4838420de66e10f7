package tests

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	faultRow  = regexp.MustCompile(`(?m)^\| (F[0-9]+): ([^|]+) \| ([^|]+) \| ([^|]+) \|$`)
	faultTest = regexp.MustCompile("`([a-z/]+)\\.((?:Test|Fuzz)[A-Za-z0-9]+)`")
)

// lastFault is the last fault that concerns a store and what is added to it.
const lastFault = 60

// TestEveryFaultHasItsTest holds docs/reliability.md to its word: every fault has a
// row, and every test that a row names is there.
func TestEveryFaultHasItsTest(t *testing.T) {
	root := moduleRoot(t)
	rows := map[string]int{}
	for _, row := range faultRow.FindAllStringSubmatch(string(readFile(t, root, "docs", "reliability.md")), -1) {
		rows[row[1]]++
		names := faultTest.FindAllStringSubmatch(row[4], -1)
		if len(names) == 0 || len(names) != strings.Count(row[4], "`")/2 {
			t.Errorf("%s: want names of tests, found %s", row[1], row[4])
		}
		for _, name := range names {
			if !hasTest(t, filepath.Join(root, name[1]), name[2]) {
				t.Errorf("%s: there is no %s in %s", row[1], name[2], name[1])
			}
		}
	}
	for n := 1; n <= lastFault; n++ {
		if name := fmt.Sprintf("F%d", n); rows[name] != 1 {
			t.Errorf("%s has %d rows", name, rows[name])
		}
	}
	if len(rows) != lastFault {
		t.Errorf("there are %d faults, want %d", len(rows), lastFault)
	}
}

// hasTest reports whether a package has a test of that name.
func hasTest(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\nfunc "+name+"(") {
			return true
		}
	}
	return false
}
