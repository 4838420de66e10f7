package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"terrine/store"
)

// How many processes work on one store in TestManyProcesses, and for how long,
// unless TERRINE_SOAK says otherwise: 2h or, with fewer processes, 10m,8 (make soak).
const (
	stressProcesses = 32
	stressTime      = 30 * time.Second
	stressSources   = 24
	soakVar         = "TERRINE_SOAK"
)

// TestManyProcesses has processes add, import, export, read, collect, delete,
// verify, optimise and rebuild in one store, all at once. What one of them
// holds or has rooted must stay, and be what it was; no store may be damaged at
// any time; and everybody must get a turn.
func TestManyProcesses(t *testing.T) {
	processes, duration := stressProcesses, stressTime
	if testing.Short() {
		processes, duration = 8, 2*time.Second
	}
	if soak := os.Getenv(soakVar); soak != "" {
		long, fewer, _ := strings.Cut(soak, ",")
		var err error
		if duration, err = time.ParseDuration(long); err != nil {
			t.Fatal(err)
		}
		if n, err := strconv.Atoi(fewer); err == nil {
			processes = n
		}
	}
	root, input := t.TempDir(), t.TempDir()
	prepareStress(t, input)
	seed := time.Now().UnixNano()
	t.Logf("seed %d, %d processes, %s", seed, processes, duration)
	var children []*exec.Cmd
	var outputs []*bytes.Buffer
	for i := range processes {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childTask+"=stress", childStore+"="+root, childInput+"="+input, childPoint+"=0",
			"TERRINE_TEST_SEED="+strconv.FormatInt(seed+int64(i), 10), "TERRINE_TEST_TIME="+duration.String())
		out := &bytes.Buffer{}
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		children, outputs = append(children, cmd), append(outputs, out)
	}
	total := make(map[string]int)
	for i, cmd := range children {
		if err := cmd.Wait(); err != nil {
			t.Errorf("process %d: %v\n%s", i, err, outputs[i])
		}
		for line := range strings.Lines(outputs[i].String()) {
			var name string
			var n int
			if _, err := fmt.Sscanf(line, "done %q %d", &name, &n); err == nil {
				total[name] += n
			}
		}
	}
	t.Logf("done: %v", total)
	for _, op := range stressOps {
		if total[op.name] == 0 && !testing.Short() {
			t.Errorf("nobody has got round to %s", op.name)
		}
	}
	s := openStore(t, root, store.Options{})
	if _, err := s.GC(t.Context(), store.GCOptions{}); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	sound(t, root)
	for _, dir := range []string{"locks", "links", "owners"} {
		if left := names(t, filepath.Join(root, "nix/var/terrine", dir)); len(left) > 0 {
			t.Errorf("left in %s: %q", dir, left)
		}
	}
}

// prepareStress makes what the processes add: trees, each of which mentions
// paths of some before it, and the same as an export.
func prepareStress(t *testing.T, input string) {
	t.Helper()
	s := openStore(t, t.TempDir(), store.Options{})
	var list []store.Path
	for i := range stressSources {
		dir := filepath.Join(input, "src", strconv.Itoa(i))
		text := fmt.Sprintf("source %d\n", i)
		for j := i - 1; j >= 0; j = j/2 - 1 {
			text += string(list[j]) + "\n"
		}
		for name, text := range map[string]string{"own": text, "d/same": strings.Repeat("the same everywhere\n", 500), "d/big": strings.Repeat(text, 200)} {
			file := filepath.Join(dir, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		list = append(list, add(t, s, dir, store.AddOptions{Name: "s" + strconv.Itoa(i)}).Path)
	}
	f, err := os.Create(filepath.Join(input, "export"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Export(t.Context(), f, list...), f.Close()); err != nil {
		t.Fatal(err)
	}
}
