package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"terrine/store"
	"terrine/store/fault"
	"terrine/store/nar"
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

// stressor is one process of TestManyProcesses.
type stressor struct {
	r           *rand.Rand
	root, input string
	name        string     // of its root
	rooted      store.Path // what it has rooted, if anything
	done        map[string]int
}

// A stressOp is what a stressor does, with how often, relatively.
type stressOp struct {
	name   string
	weight int
	run    func(*stressor, context.Context, *store.Store) error
}

var stressOps = []stressOp{
	{"add", 20, (*stressor).add},
	{"add together", 10, (*stressor).addTogether},
	{"read", 30, (*stressor).read},
	{"import", 6, (*stressor).importStream},
	{"export", 6, (*stressor).export},
	{"gc", 10, (*stressor).gc},
	{"delete", 10, (*stressor).delete},
	{"root", 10, (*stressor).moveRoot},
	{"verify", 4, (*stressor).verify},
	{"optimise", 3, (*stressor).optimise},
	{"rebuild", 1, (*stressor).rebuild},
}

// stress works until its time is up, and prints what it has done.
func stress(ctx context.Context, root, input string) error {
	seed, err := strconv.ParseUint(os.Getenv("TERRINE_TEST_SEED"), 10, 64)
	if err != nil {
		return err
	}
	duration, err := time.ParseDuration(os.Getenv("TERRINE_TEST_TIME"))
	if err != nil {
		return err
	}
	w := &stressor{r: rand.New(rand.NewPCG(seed, 0)), root: root, input: input,
		name: "r" + strconv.FormatUint(seed, 10), done: make(map[string]int)}
	sum := 0
	for _, op := range stressOps {
		sum += op.weight
	}
	// Seeds follow one another: however slow the machine is, all of them begin with all.
	next := int(seed % uint64(len(stressOps)))
	for end := time.Now().Add(duration); ; {
		op := stressOps[next]
		if err := w.one(ctx, op.run); err != nil {
			return fmt.Errorf("%s: %w", op.name, err)
		}
		w.done[op.name]++
		if time.Now().After(end) {
			break
		}
		n := w.r.IntN(sum)
		next = slices.IndexFunc(stressOps, func(op stressOp) bool {
			n -= op.weight
			return n < 0
		})
	}
	for name, n := range w.done {
		fmt.Printf("done %q %d\n", name, n)
	}
	if w.rooted == "" {
		return nil
	}
	s, err := store.Open(ctx, root, store.Options{NoSync: true})
	if err != nil {
		return err
	}
	return errors.Join(s.RemoveRoot(ctx, w.name), s.Close())
}

// one does one thing with a store of its own, as a command would, and then
// looks whether what it has rooted is still there.
func (w *stressor) one(ctx context.Context, run func(*stressor, context.Context, *store.Store) error) error {
	s, err := store.Open(ctx, w.root, store.Options{NoSync: true, LockTimeout: 2 * time.Minute})
	if err != nil {
		return err
	}
	err = run(w, ctx, s)
	if err == nil && w.rooted != "" {
		if err = w.whole(ctx, s, w.rooted); err != nil {
			err = fmt.Errorf("its root: %w", err)
		}
	}
	return errors.Join(err, s.Close())
}

// whole checks that the closure of a path is as it should be.
func (w *stressor) whole(ctx context.Context, s *store.Store, p store.Path) error {
	infos, err := s.Closure(ctx, p)
	if err != nil {
		return err
	}
	for _, info := range infos {
		hash, _, err := nar.Hash(ctx, filepath.Join(s.RealDir(), info.Path.Base()))
		if err != nil {
			return err
		}
		if hash != info.NARHash {
			return fmt.Errorf("%s has the hash %s: want %s", info.Path, hash, info.NARHash)
		}
	}
	return nil
}

func (w *stressor) add(ctx context.Context, s *store.Store) error {
	i := strconv.Itoa(w.r.IntN(stressSources))
	info, err := s.Add(ctx, filepath.Join(w.input, "src", i), store.AddOptions{Name: "s" + i})
	if err != nil {
		return err
	}
	return w.whole(ctx, s, info.Path) // it is held
}

// some returns a valid path, or none.
func (w *stressor) some(ctx context.Context, s *store.Store) (store.Path, error) {
	list, err := s.List(ctx)
	if err != nil || len(list) == 0 {
		return "", err
	}
	return list[w.r.IntN(len(list))].Path, nil
}

func (w *stressor) read(ctx context.Context, s *store.Store) error {
	p, err := w.some(ctx, s)
	if p == "" || err != nil {
		return err
	}
	if _, err := s.Hold(ctx, p); errors.Is(err, store.ErrNotFound) {
		return nil // collected between the two
	} else if err != nil {
		return err
	}
	for range 3 {
		if err := w.whole(ctx, s, p); err != nil {
			return err
		}
	}
	return nil
}

func (w *stressor) importStream(ctx context.Context, s *store.Store) error {
	f, err := os.Open(filepath.Join(w.input, "export"))
	if err != nil {
		return err
	}
	defer f.Close()
	infos, err := s.ImportStream(ctx, f)
	if err != nil {
		return err
	}
	return w.whole(ctx, s, infos[w.r.IntN(len(infos))].Path)
}

func (w *stressor) export(ctx context.Context, s *store.Store) error {
	p, err := w.some(ctx, s)
	if p == "" || err != nil {
		return err
	}
	err = s.Export(ctx, &bytes.Buffer{}, p)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

func (w *stressor) gc(ctx context.Context, s *store.Store) error {
	_, err := s.GC(ctx, store.GCOptions{DryRun: w.r.IntN(4) == 0, MaxFreed: int64(w.r.IntN(2) * 50_000)})
	return err
}

func (w *stressor) delete(ctx context.Context, s *store.Store) error {
	p, err := w.some(ctx, s)
	if p == "" || err != nil {
		return err
	}
	_, err = s.Delete(ctx, p)
	if errors.Is(err, store.ErrNotFound) || fault.CodeOf(err) == fault.Refused || (fault.CodeOf(err) == fault.Busy && strings.Contains(err.Error(), "in use")) {
		return nil
	}
	return err
}

// moveRoot moves the root of this process to another path.
func (w *stressor) moveRoot(ctx context.Context, s *store.Store) error {
	p, err := w.some(ctx, s)
	if p == "" || err != nil {
		return err
	}
	err = s.AddRoot(ctx, w.name, p)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	w.rooted = p
	return err
}

func (w *stressor) verify(ctx context.Context, s *store.Store) error {
	for p, err := range s.Verify(ctx) {
		return fmt.Errorf("%s: %w", p, err)
	}
	return nil
}

func (w *stressor) optimise(ctx context.Context, s *store.Store) error {
	_, err := s.Optimise(ctx)
	return err
}

func (w *stressor) rebuild(ctx context.Context, s *store.Store) error {
	r, err := s.Rebuild(ctx)
	if err != nil {
		return err
	}
	for _, lost := range r.Lost {
		// A path may be on its way; what was valid may not be lost.
		if !errors.Is(lost.Reason, fs.ErrNotExist) {
			return fmt.Errorf("lost %s: %w", lost.Path, lost.Reason)
		}
	}
	return nil
}
