package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"terrine/store"
)

// Bounds of many paths, and of many files.
const (
	probeFewBound      = 0.05 // s, for probeFew paths
	probeManyBound     = 1.0
	probeFew           = 300
	probeMany          = 20_000
	probeVeryMany      = 100_000
	millionBound       = 300.0 // s
	millionPeak        = 256.0 // MiB
	millionObjects     = 100
	millionPerObject   = 10_000
	referencesOfACrowd = 8
)

// A crowd is a store of its own with very many paths, and what exportReferencesGraph
// says of it. Its NAR hashes are made up: nobody compares them.
type crowd struct {
	store string // directory
	graph string
	spec  string
	cache string
}

type crowdNode struct {
	Path       string   `json:"path"`
	NARHash    string   `json:"narHash"`
	NARSize    int64    `json:"narSize"`
	References []string `json:"references"`
}

// newCrowd makes n paths by grow, each of which refers to some that come
// before it, the earlier the more often, as to a C library; and the last to all
// that nothing else refers to.
func (b *bench) newCrowd(name string, n int, grow func(path string, i int) error) (*crowd, error) {
	c := &crowd{store: filepath.Join(b.dir, name, "store")}
	if err := os.MkdirAll(c.store, 0o755); err != nil {
		return nil, err
	}
	random := rand.New(rand.NewPCG(5, 6))
	nodes := make([]crowdNode, n)
	lonely := map[string]bool{}
	for i := range nodes {
		sum := sha256.Sum256(fmt.Append(nil, name, i))
		nodes[i] = crowdNode{
			Path:       filepath.Join(c.store, fmt.Sprintf("%s-%s-%d", store.EncodeBase32(sum[:20]), name, i)),
			NARHash:    "sha256:" + store.EncodeBase32(sum[:]),
			NARSize:    int64(1000 + random.IntN(1<<20)),
			References: []string{},
		}
		for range min(i, random.IntN(referencesOfACrowd)) {
			x := random.Float64()
			ref := nodes[int(float64(i)*x*x*x)].Path
			nodes[i].References = append(nodes[i].References, ref)
			delete(lonely, ref)
		}
		if err := grow(nodes[i].Path, i); err != nil {
			return nil, err
		}
		lonely[nodes[i].Path] = true
	}
	top := &nodes[n-1]
	delete(lonely, top.Path)
	for ref := range lonely {
		top.References = append(top.References, ref)
	}
	return c, c.describe(filepath.Join(b.dir, name), nodes)
}

// describe writes the graph and the spec.
func (c *crowd) describe(dir string, nodes []crowdNode) error {
	text, err := json.Marshal(nodes)
	if err != nil {
		return err
	}
	c.graph, c.spec, c.cache = filepath.Join(dir, "graph.json"), filepath.Join(dir, "image.json"), filepath.Join(dir, "cache")
	spec := fmt.Sprintf(`{"name": "crowd", "tag": "bench", "config": {"Cmd": [%q]}}`, nodes[len(nodes)-1].Path)
	return errors.Join(os.WriteFile(c.graph, text, 0o600), os.WriteFile(c.spec, []byte(spec), 0o600))
}

// call is the side of a terrine that is told of a crowd.
func (b *bench) call(c *crowd, output, cache string, args ...string) side {
	return side{output: output, command: func(ctx context.Context) (*exec.Cmd, error) {
		return b.terrineCommand(ctx, filepath.Join(b.dir, "data"), cache, append(args, "--closure", c.graph)...), nil
	}}
}

// probe measures how long probe takes that finds everything, and how much memory the
// build before it.
func (b *bench) probe(ctx context.Context) error {
	for _, test := range []struct {
		n     int
		bound float64
	}{{probeFew, probeFewBound}, {probeMany, probeManyBound}, {probeVeryMany, 0}} {
		c, err := b.newCrowd(fmt.Sprintf("crowd-%d", test.n), test.n, func(path string, i int) error {
			return os.WriteFile(path, fmt.Append(nil, i), 0o444)
		})
		if err != nil {
			return err
		}
		output := filepath.Join(b.dir, "crowd.tar.gz")
		built, err := measure(ctx, b.call(c, output, c.cache, "build", c.spec, "-o", output, "--quiet"))
		if err != nil {
			return err
		}
		b.table.most(fmt.Sprintf("cold x.tar.gz of %d paths, peak memory", test.n), "MiB", peakBase+peakWorker*float64(runtime.NumCPU()), []sample{built}, mebibytes)
		// The store is away.
		if err := os.RemoveAll(c.store); err != nil {
			return err
		}
		samples, err := b.turns(ctx, b.call(c, "", c.cache, "probe", c.spec))
		if err != nil {
			return err
		}
		b.table.middle(fmt.Sprintf("probe of %d paths", test.n), "s", test.bound, samples[0], seconds)
		b.table.middle(fmt.Sprintf("probe of %d paths, processor time", test.n), "s", 0, samples[0], cpuSeconds)
		b.table.most(fmt.Sprintf("probe of %d paths, peak memory", test.n), "MiB", 0, samples[0], mebibytes)
	}
	return nil
}

// million measures an archive of a million small files, once: it is long enough.
func (b *bench) million(ctx context.Context) error {
	random := rand.New(rand.NewPCG(7, 8))
	c, err := b.newCrowd("million", millionObjects, func(path string, _ int) error {
		return growTree(path, millionPerObject, random)
	})
	if err != nil {
		return err
	}
	what := fmt.Sprintf("%d small files: ", millionObjects*millionPerObject)
	for _, ext := range []string{".tar", ".tar.gz"} {
		output := filepath.Join(b.dir, "million"+ext)
		s, err := measure(ctx, b.call(c, output, c.cache, "build", c.spec, "-o", output, "--quiet"))
		if err != nil {
			return err
		}
		b.table.most(what+"x"+ext, "s", millionBound, []sample{s}, seconds)
		b.table.most(what+"x"+ext+", processor time", "s", 0, []sample{s}, cpuSeconds)
		b.table.most(what+"x"+ext+", peak memory", "MiB", millionPeak, []sample{s}, mebibytes)
	}
	return os.RemoveAll(filepath.Join(b.dir, "million"))
}
