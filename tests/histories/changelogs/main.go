// Changelogs makes a history, as tests/histories replays it, out of a closure
// whose store paths hold Debian packages:
//
//	changelogs /nix/store/…-closure > testdata/NAME.json
//
// The closure comes from the nix-store on PATH. A path was updated on each
// day on which a changelog of its packages, /usr/share/doc/*/changelog*.gz,
// has an entry. A package whose documentation directory is a link to that of
// another package in the closure was updated together with that one.
// (Debian cuts changelogs off some four years before the release.)
package main

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: changelogs STORE-PATH > HISTORY.json")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "changelogs:", err)
		os.Exit(1)
	}
}

// entry is one path of a history, as its JSON has it.
type entry struct {
	Path       string   `json:"path"`
	Size       int64    `json:"size"`
	References []string `json:"references"`
	Updated    []string `json:"updated"`
}

func run(root string, w io.Writer) error {
	paths, err := query("-qR", root)
	if err != nil {
		return err
	}
	days, err := updates(paths)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "{\"root\": %q, \"paths\": [\n", root)
	for i, p := range paths {
		e := entry{Path: p, References: []string{}, Updated: days[p]}
		size, err := query("-q", "--size", p)
		if err != nil {
			return err
		}
		if e.Size, err = strconv.ParseInt(size[0], 10, 64); err != nil {
			return err
		}
		refs, err := query("-q", "--references", p)
		if err != nil {
			return err
		}
		for _, ref := range refs {
			if ref != p {
				e.References = append(e.References, ref)
			}
		}
		line, err := json.Marshal(e)
		if err != nil {
			return err
		}
		end := ",\n"
		if i == len(paths)-1 {
			end = "\n]}\n"
		}
		fmt.Fprintf(out, "%s%s", line, end)
	}
	return out.Flush()
}

func query(args ...string) ([]string, error) {
	cmd := exec.Command("nix-store", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("nix-store %s: %w", strings.Join(args, " "), err)
	}
	return strings.Fields(string(out)), nil
}

// updates returns the days on which each path was updated, sorted, each once.
func updates(paths []string) (map[string][]string, error) {
	own := map[string][]string{}    // path → days of the changelogs in it
	byName := map[string][]string{} // documentation directory → days
	links := map[string][]string{}  // path → documentation directories it links to
	for _, p := range paths {
		doc := filepath.Join(p, "usr/share/doc")
		dirs, err := os.ReadDir(doc)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, d := range dirs {
			if d.Type() == fs.ModeSymlink {
				target, err := os.Readlink(filepath.Join(doc, d.Name()))
				if err != nil {
					return nil, err
				}
				links[p] = append(links[p], filepath.Base(target))
				continue
			}
			days, err := changelogDays(filepath.Join(doc, d.Name()))
			if err != nil {
				return nil, err
			}
			own[p] = append(own[p], days...)
			byName[d.Name()] = append(byName[d.Name()], days...)
		}
	}
	all := map[string][]string{}
	for _, p := range paths {
		days := append([]string{}, own[p]...)
		for _, name := range links[p] {
			days = append(days, byName[name]...)
		}
		slices.Sort(days)
		all[p] = slices.Compact(days)
	}
	return all, nil
}

func changelogDays(dir string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "changelog*.gz"))
	if err != nil {
		return nil, err
	}
	var days []string
	for _, file := range files {
		found, err := readChangelog(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a link into another package
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		days = append(days, found...)
	}
	return days, nil
}

// readChangelog returns the day of each entry: entries end in a line
// " -- NAME <MAIL>  Fri, 31 Jul 2020 10:10:10 +0200". An upstream changelog
// has no such lines.
func readChangelog(file string) ([]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	var days []string
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		at := strings.LastIndex(line, ">  ")
		if !strings.HasPrefix(line, " -- ") || at < 0 {
			continue
		}
		date := strings.Join(strings.Fields(line[at+3:]), " ")
		for _, layout := range []string{"Mon, 2 Jan 2006 15:04:05 -0700", "Mon, 2 Jan 2006 15:04:05 MST"} {
			if t, err := time.Parse(layout, date); err == nil {
				days = append(days, t.Format(time.DateOnly))
				break
			}
		}
	}
	return days, lines.Err()
}
