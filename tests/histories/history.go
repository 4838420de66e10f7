// Package histories replays the real updates of closures, to measure what a
// layering makes hosts pull.
//
// A history is a closure of which each path is known with the dates on which
// it was really updated. An image of it is rebuilt every so often: each path
// updated since the last time, and all that depend on it, get new hashes,
// layers are planned anew, and what a host would have to fetch is counted.
package histories

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"terrine/layering"
)

// History is a closure with the updates of its paths. Its structure and sizes
// stay as they are; only versions and hashes change over time.
type History struct {
	Name  string
	paths []path
	order []int // dependencies first
}

type path struct {
	name    string
	size    int64
	refs    []int
	updated []time.Time // ascending
}

// Load reads a history in JSON: {"root": P, "paths": [{"path", "size",
// "references", "updated": ["2006-01-02", …]}, …]}.
func Load(file string) (*History, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var doc struct {
		Paths []struct {
			Path       string
			Size       int64
			References []string
			Updated    []string
		}
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("read history %s: %w", file, err)
	}
	h := &History{Name: strings.TrimSuffix(filepath.Base(file), ".json")}
	index := map[string]int{}
	for i, p := range doc.Paths {
		base := p.Path[strings.LastIndexByte(p.Path, '/')+1:]
		_, name, _ := strings.Cut(base, "-")
		h.paths = append(h.paths, path{name: name, size: p.Size})
		index[p.Path] = i
	}
	for i, p := range doc.Paths {
		for _, ref := range p.References {
			j, ok := index[ref]
			if !ok {
				return nil, fmt.Errorf("read history %s: %s refers to %s, which is not there", file, p.Path, ref)
			}
			if i != j {
				h.paths[i].refs = append(h.paths[i].refs, j)
			}
		}
		for _, day := range p.Updated {
			t, err := time.Parse(time.DateOnly, day)
			if err != nil {
				return nil, fmt.Errorf("read history %s: %s: %w", file, p.Path, err)
			}
			h.paths[i].updated = append(h.paths[i].updated, t)
		}
		slices.SortFunc(h.paths[i].updated, time.Time.Compare)
	}
	h.sort()
	return h, nil
}

func (h *History) sort() {
	done := make([]bool, len(h.paths))
	var visit func(i int)
	visit = func(i int) {
		if done[i] {
			return
		}
		done[i] = true
		for _, ref := range h.paths[i].refs {
			visit(ref)
		}
		h.order = append(h.order, i)
	}
	for i := range h.paths {
		visit(i)
	}
}

// Image is the closure as it was at some time.
type Image struct {
	Nodes   []layering.Node
	Graph   *layering.Graph
	Changed []bool // against the image before
}

// At returns the image of each date. Of a path updated between two of them
// the version goes up, and its hash and those of all that depend on it change.
func (h *History) At(dates []time.Time) ([]Image, error) {
	version := make([]int, len(h.paths)) // of the path and all below it
	own := make([]int, len(h.paths))
	images := make([]Image, len(dates))
	for k, date := range dates {
		changed := make([]bool, len(h.paths))
		nodes := make([]layering.Node, len(h.paths))
		for _, i := range h.order {
			p := &h.paths[i]
			if k > 0 && p.updatedBetween(dates[k-1], date) {
				own[i]++
				changed[i] = true
			}
			for _, ref := range p.refs {
				changed[i] = changed[i] || changed[ref]
				nodes[i].References = append(nodes[i].References, nodes[ref].Path)
			}
			if changed[i] {
				version[i]++
			}
			nodes[i].Path = storePath(i, version[i], p.name)
			nodes[i].Size = p.size
		}
		g, err := layering.NewGraph(nodes)
		if err != nil {
			return nil, fmt.Errorf("replay %s: %w", h.Name, err)
		}
		images[k] = Image{nodes, g, changed}
	}
	return images, nil
}

func (p *path) updatedBetween(after, upTo time.Time) bool {
	i, _ := slices.BinarySearchFunc(p.updated, after.Add(time.Nanosecond), time.Time.Compare)
	return i < len(p.updated) && !p.updated[i].After(upTo)
}

// storePath invents a store path with a hash made of its number and version.
func storePath(number, version int, name string) string {
	const alphabet = "0123456789abcdfghijklmnpqrsvwxyz"
	seed := uint64(number)<<32 | uint64(version)
	hash := make([]byte, 32)
	for i := range hash {
		seed = seed*6364136223846793005 + 1442695040888963407
		hash[i] = alphabet[seed>>59]
	}
	return "/nix/store/" + string(hash) + "-" + name
}

// Monthly returns from and the same day of each month after it, up to to.
func Monthly(from, to time.Time) []time.Time { return every(from, to, 1, 0) }

// Weekly returns from and each seventh day after it, up to to.
func Weekly(from, to time.Time) []time.Time { return every(from, to, 0, 7) }

func every(from, to time.Time, months, days int) []time.Time {
	var dates []time.Time
	for t := from; !t.After(to); t = t.AddDate(0, months, days) {
		dates = append(dates, t)
	}
	return dates
}
