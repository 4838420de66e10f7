package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// small makes the small files, puts them into a store of terrine's own and
// returns them as an input, together with a path that refers to all of them.
func (b *bench) small(ctx context.Context) (*input, error) {
	trees := filepath.Join(b.dir, "trees")
	data := filepath.Join(b.dir, "small-data")
	random := rand.New(rand.NewPCG(1, 2))
	add := []string{"store", "add"}
	for i := range smallObjects {
		tree := filepath.Join(trees, fmt.Sprintf("tree-%03d", i))
		if err := growTree(tree, smallFiles/smallObjects, random); err != nil {
			return nil, err
		}
		add = append(add, tree)
	}
	paths, err := b.addPaths(ctx, data, add...)
	if err != nil {
		return nil, err
	}
	top := filepath.Join(trees, "top")
	if err := os.WriteFile(top, []byte(strings.Join(paths, "\n")), 0o600); err != nil {
		return nil, err
	}
	tops, err := b.addPaths(ctx, data, "store", "add", top)
	if err != nil {
		return nil, err
	}
	if err := os.RemoveAll(trees); err != nil {
		return nil, err
	}
	return b.prepare(ctx, "small", data, filepath.Join(data, "terrine"), append(paths, tops...), tops[0])
}

// addPaths runs a `terrine store add` and returns the paths it prints.
func (b *bench) addPaths(ctx context.Context, data string, args ...string) ([]string, error) {
	cmd := exec.CommandContext(ctx, b.terrine, args...)
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+data)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("add the small files to a store: %w", err)
	}
	return strings.Fields(string(out)), nil
}

// growTree makes a directory with n files of up to 4 KiB in ten directories.
// They compress about as program files do, half of each being random.
func growTree(dir string, n int, random *rand.Rand) error {
	content := make([]byte, 4096)
	for i := range n {
		sub := filepath.Join(dir, fmt.Sprintf("part-%d", i%10))
		if i < 10 {
			if err := os.MkdirAll(sub, 0o755); err != nil {
				return err
			}
		}
		size := 64 + random.IntN(len(content)-64)
		for j := range size / 2 {
			content[j] = byte(random.Uint32())
		}
		if err := os.WriteFile(filepath.Join(sub, fmt.Sprintf("file-%05d.txt", i)), content[:size], 0o600); err != nil {
			return err
		}
	}
	return nil
}
