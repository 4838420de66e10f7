package memo

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"terrine/tests/engines"
	"terrine/tests/lab"
)

// TestKilledBuilds kills builds at random times, cold and warm, with layers
// divided in other ways, and then asks a cache that has seen them all: nothing in
// it is damaged that a kill could have left, what probe tells is what build makes,
// and that is what build makes without it (S50).
func TestKilledBuilds(t *testing.T) {
	d, s, _ := smallDesk(t)
	file, fresh := d.build(s, "fresh.tar.gz", "--no-cache")
	want := lab.FileDigest(t, file)
	rng := rand.New(rand.NewPCG(9, 9))
	killed, whole := 0, 600*time.Millisecond
	for i := range 12 {
		if i%5 == 4 {
			d.Run("cache", "clear")
		}
		cmd := d.Command("build", s, "-o", d.Path("out", "image.tar.gz"), "--quiet", "--force", "--max-layers", []string{"3", "9", "100"}[i%3])
		var said strings.Builder
		cmd.Stderr = &said
		began := time.Now()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(time.Duration(rng.Int64N(int64(whole))), func() { _ = cmd.Process.Kill() })
		err := cmd.Wait()
		timer.Stop()
		status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
		switch {
		case ok && status.Signaled() && status.Signal() == syscall.SIGKILL:
			killed++
		case err != nil:
			t.Fatalf("after %d kills: %v: %s", killed, err, said.String())
		default:
			whole = (whole + time.Since(began)) / 2
		}
		if strings.Contains(said.String(), "cache") {
			t.Errorf("after %d kills: %s", killed, said.String())
		}
	}
	if killed < 3 {
		t.Fatalf("only %d builds of 12 were killed", killed)
	}
	if said := d.Run("cache", "verify"); !strings.HasPrefix(said, "removed 0 files") {
		t.Errorf("cache verify: %s", said)
	}
	file, built := d.build(s, "image.tar.gz")
	if got := lab.FileDigest(t, file); got != want {
		t.Errorf("image.tar.gz has the sha256 %s, without a cache %s", got, want)
	}
	probed := d.decode(engines.Run(t, lab.WithoutNix(d.Command("probe", s, "--json"))))
	compareProbe(t, probed, built)
	compareProbe(t, probed, fresh)
}

// walks matches the calls that look for files.
var walks = regexp.MustCompile(`\b(getdents64|newfstatat|readlinkat|statx)\(`)

// TestKnownSegmentsAreNotWalked: what a scaffold is kept of is emitted again without
// a directory being read or a file being looked for, also in layers that are
// divided in another way.
func TestKnownSegmentsAreNotWalked(t *testing.T) {
	d, s, closure := smallDesk(t)
	d.build(s, "cold.tar")
	want, _ := d.build(s, "fresh.tar", "--no-cache", "--max-layers", "4")
	store := d.Path("data", "terrine", "nix", "store")
	for _, flags := range [][]string{nil, {"--max-layers", "4"}} {
		cmd, log := d.traced(lab.WithoutNix(d.Command(append([]string{"build", s, "-o", d.Path("out", "warm.tar"), "--quiet", "--force"}, flags...)...)))
		cmd.Args = replaced(cmd.Args, "trace=%file", "trace=%file,getdents64")
		engines.Run(t, cmd)
		opened := 0
		for _, line := range touching(t, log, store) {
			if strings.Contains(line, "openat(") {
				opened++
			}
			if walks.MatchString(line) && slices.ContainsFunc(closure, func(p string) bool { return strings.Contains(line, p[strings.LastIndex(p, "/"):]) }) {
				t.Errorf("%q: %s", flags, line)
			}
		}
		if opened == 0 {
			t.Fatalf("%q: the trace shows no file of the store", flags)
		}
	}
	if lab.FileDigest(t, d.Path("out", "warm.tar")) != lab.FileDigest(t, want) {
		t.Error("other bytes than without a cache")
	}
}

func replaced(words []string, old, new string) (out []string) {
	for _, w := range words {
		if w == old {
			w = new
		}
		out = append(out, w)
	}
	return out
}
