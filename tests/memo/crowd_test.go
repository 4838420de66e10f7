package memo

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"terrine/tests/lab"
)

// complains reports whether a command says more than that it waits for another.
func complains(said string) bool {
	for line := range strings.Lines(said) {
		if !strings.HasPrefix(line, "waiting for ") {
			return true
		}
	}
	return false
}

// TestOneCacheForMany builds an image in all forms at once, over and over, with one
// cache that gc, verify and clear work on meanwhile: each has the bytes that it has
// without a cache, and nobody says a word of damage (S16).
func TestOneCacheForMany(t *testing.T) {
	d, s, _ := smallDesk(t)
	want := map[string]string{}
	for name, flags := range forms() {
		file, _ := d.build(s, name, append(flags, "--no-cache")...)
		want[name] = lab.FileDigest(t, file)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var keepers errgroup.Group
	for _, line := range [][]string{
		{"cache", "gc", "--max-size", "9M"}, {"cache", "verify"}, {"cache", "gc", "--older-than", "1ns"}, {"cache", "clear"},
	} {
		keepers.Go(func() error {
			for ctx.Err() == nil {
				cmd := d.Command(line...)
				var said bytes.Buffer
				cmd.Stderr = &said
				if err := cmd.Run(); err != nil || complains(said.String()) {
					return fmt.Errorf("%v: %v: %s", line, err, said.String())
				}
			}
			return nil
		})
	}
	var builds errgroup.Group
	builds.SetLimit(3)
	for name, flags := range forms() {
		builds.Go(func() error {
			file := d.Path("out", "crowd-"+name)
			cmd := d.Command(append([]string{"build", s, "-o", file, "--quiet"}, flags...)...)
			var said bytes.Buffer
			cmd.Stderr = &said
			if err := cmd.Run(); err != nil || complains(said.String()) {
				return fmt.Errorf("%s: %v: %s", name, err, said.String())
			}
			if got := lab.FileDigest(t, file); got != want[name] {
				return fmt.Errorf("%s: other bytes than without a cache", name)
			}
			return nil
		})
	}
	if err := builds.Wait(); err != nil {
		t.Error(err)
	}
	cancel()
	if err := keepers.Wait(); err != nil {
		t.Error(err)
	}
}
