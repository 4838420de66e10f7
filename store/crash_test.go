package store_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"terrine/store"
	"terrine/tests/need"
)

// The tests of this file start the test program again, to do one thing to a
// store and to be killed at the n-th named point that it comes to.
const (
	childTask  = "TERRINE_TEST_TASK" // what to do; empty in the parent
	childStore = "TERRINE_TEST_STORE"
	childInput = "TERRINE_TEST_INPUT"
	childPoint = "TERRINE_TEST_POINT" // the ordinal of the point to die at
)

func TestMain(m *testing.M) {
	if task := os.Getenv(childTask); task != "" {
		if err := child(task); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(task string) error {
	left, err := strconv.Atoi(os.Getenv(childPoint))
	if err != nil {
		return err
	}
	die := func(point string) error {
		if left--; left == 0 {
			fmt.Println(point)
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		return nil
	}
	if task == "stress" {
		return stress(context.Background(), os.Getenv(childStore), os.Getenv(childInput))
	}
	s, err := store.Open(context.Background(), os.Getenv(childStore), store.Options{Fail: die})
	if err != nil {
		return err
	}
	if err := perform(context.Background(), s, task, os.Getenv(childInput)); err != nil {
		return err
	}
	return s.Close()
}

func perform(ctx context.Context, s *store.Store, task, input string) error {
	switch task {
	case "add":
		info, err := s.Add(ctx, input, store.AddOptions{Name: "added"})
		if err == nil {
			fmt.Println("acknowledged", info.Path)
		}
		return err
	case "import":
		f, err := os.Open(input)
		if err != nil {
			return err
		}
		defer f.Close()
		infos, err := s.ImportStream(ctx, f)
		for _, info := range infos {
			fmt.Println("acknowledged", info.Path)
		}
		return err
	case "gc":
		_, err := s.GC(ctx, store.GCOptions{})
		return err
	case "rebuild":
		_, err := s.Rebuild(ctx)
		return err
	case "list":
		list, err := s.List(ctx)
		for _, info := range list {
			fmt.Println(info.Path)
		}
		return err
	case "forget": // everything: a rebuild without info files
		root := os.Getenv(childStore)
		if err := os.RemoveAll(filepath.Join(root, "nix/var/terrine/info")); err != nil {
			return err
		}
		if err := os.Mkdir(filepath.Join(root, "nix/var/terrine/info"), 0o755); err != nil {
			return err
		}
		_, err := s.Rebuild(ctx)
		return err
	}
	return fmt.Errorf("no task %q", task)
}

// runChild returns what the child printed, and whether it was killed.
func runChild(t *testing.T, task, root, input string, point int) (string, bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childTask+"="+task, childStore+"="+root, childInput+"="+input, childPoint+"="+strconv.Itoa(point))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err == nil {
		return string(out), false
	}
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		t.Fatalf("%s, killed at point %d: %v\n%s", task, point, err, stderr.Bytes())
	}
	return string(out), true
}

// TestKillAtEveryPoint kills a process at each named point in turn. After
// each kill the store must be valid, what was acknowledged must be there, and
// the same command must succeed.
func TestKillAtEveryPoint(t *testing.T) {
	source := openStore(t, t.TempDir(), store.Options{})
	list := chain(t, source, 3)
	stream := filepath.Join(t.TempDir(), "stream")
	f, err := os.Create(stream)
	if err != nil {
		t.Fatal(err)
	}
	if err := source.Export(t.Context(), f, list...); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	dir := tree(t, map[string]string{"a": "1", "b/c*": "2", "l": "-> a"})
	for task, input := range map[string]string{"add": dir, "import": stream, "rebuild": ""} {
		killed := 0
		for point := 1; ; point++ {
			root := need.TempDir(t)
			if task == "rebuild" {
				chain(t, openStore(t, root, store.Options{}), 3)
			}
			out, dead := runChild(t, task, root, input, point)
			checkAfterKill(t, task, root, input, out)
			if !dead {
				break
			}
			killed++
		}
		t.Logf("%s: killed at %d points", task, killed)
		if killed < 5 {
			t.Errorf("%s: only %d points to be killed at", task, killed)
		}
	}
}

func checkAfterKill(t *testing.T, task, root, input, out string) {
	t.Helper()
	s, err := store.Open(t.Context(), root, store.Options{NoSync: true})
	if err != nil {
		t.Fatalf("%s: killed at %s: Open: %v", task, out, err)
	}
	defer s.Close()
	if d := damage(t, s); d != nil {
		t.Errorf("%s: killed at %s: damage: %q", task, out, d)
	}
	for line := range strings.Lines(out) {
		p, ok := strings.CutPrefix(strings.TrimSpace(line), "acknowledged ")
		if !ok {
			continue
		}
		if _, err := s.Info(t.Context(), store.Path(p)); err != nil {
			t.Errorf("%s: killed at %s: acknowledged, but: %v", task, out, err)
		}
	}
	if err := perform(t.Context(), s, task, input); err != nil {
		t.Errorf("%s: killed at %s: the same again: %v", task, out, err)
	}
	if d := damage(t, s); d != nil {
		t.Errorf("%s: killed at %s, and done again: damage: %q", task, out, d)
	}
	for _, name := range names(t, filepath.Join(root, "nix/store")) {
		if strings.HasPrefix(name, ".") && task != "rebuild" {
			t.Errorf("%s: killed at %s, and done again: %s is left", task, out, name)
		}
	}
}

// TestManyProcessesAddTheSame (F25) has processes add one directory at once: all
// succeed, and it is copied once.
func TestManyProcessesAddTheSame(t *testing.T) {
	root := t.TempDir()
	dir := tree(t, map[string]string{"a": strings.Repeat("0123456789abcdef", 1<<16), "b": "2"})
	var children []*exec.Cmd
	var outputs []*bytes.Buffer
	for range 32 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childTask+"=add", childStore+"="+root, childInput+"="+dir, childPoint+"=0")
		out := &bytes.Buffer{}
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		children, outputs = append(children, cmd), append(outputs, out)
	}
	for i, cmd := range children {
		if err := cmd.Wait(); err != nil {
			t.Errorf("process %d: %v\n%s", i, err, outputs[i])
		}
		if outputs[i].String() != outputs[0].String() {
			t.Errorf("process %d printed %q; the first %q", i, outputs[i], outputs[0])
		}
	}
	s := openStore(t, root, store.Options{})
	list, err := s.List(t.Context())
	if err != nil || len(list) != 1 {
		t.Errorf("List = %d paths, %v; want 1", len(list), err)
	}
	if d := damage(t, s); d != nil {
		t.Errorf("damage: %q", d)
	}
	for _, dir := range []string{"nix/var/terrine/owners", "nix/var/terrine/locks"} {
		if left := names(t, filepath.Join(root, dir)); len(left) > 0 {
			t.Errorf("%s: left %q", dir, left)
		}
	}
}
