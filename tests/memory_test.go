package tests

import (
	"bytes"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// TestMemoryOfBuilds: a build has 64 MiB resident and 8 for each worker, with the codec
// whose encoders are largest too.
func TestMemoryOfBuilds(t *testing.T) {
	d := newDesk(t)
	file := d.Path("text")
	r := rand.New(rand.NewPCG(1, 2))
	text := make([]byte, 12<<20)
	for i := range text {
		text[i] = "etaoin shrdlu\n"[r.IntN(14)]
	}
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	s := d.WriteSpec(spec{"name": "text", "config": spec{"Cmd": []string{d.Add(file)}}})
	for _, flag := range []string{"--compression", "--layer-compression"} {
		for _, workers := range []int{1, 8} {
			cmd := d.Command("build", s, "-o", d.Path("text.tar"), "--force", "--no-cache", "--quiet", "-j", strconv.Itoa(workers), flag, "zstd:19")
			var said bytes.Buffer
			cmd.Stderr = &said
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			peak := watchMemory(t, cmd.Process)
			if err := cmd.Wait(); err != nil {
				t.Fatalf("build: %v\n%s", err, said.String())
			}
			got, want := peak(), int64(64+8*workers)<<20
			if got == 0 || got > want {
				t.Errorf("%s, %d workers: %d MiB resident, want at most %d", flag, workers, got>>20, want>>20)
			}
			t.Logf("%s, %d workers: %d MiB resident", flag, workers, got>>20)
		}
	}
}
