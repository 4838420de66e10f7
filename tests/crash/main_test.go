package crash

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	// The tests run terrine as a process, which go test does not see. This
	// import has it run them again when terrine changes.
	_ "terrine/cli"
	"terrine/tests/engines"
)

// shared is the lab of all tests, set by TestMain and made on first use.
var shared func() (*Lab, error)

func TestMain(m *testing.M) {
	if os.Getenv(taskVar) != "" {
		if err := Task(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runAll(m *testing.M) (code int, err error) {
	// A kill loses nothing that was written, so memory will do, and is faster.
	parent := ""
	if st, err := os.Stat("/dev/shm"); err == nil && st.IsDir() {
		parent = "/dev/shm"
	}
	dir, err := os.MkdirTemp(parent, "terrine-crash-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, remove(dir)) }()
	shared = sync.OnceValues(func() (*Lab, error) { return NewLab(context.Background(), dir) })
	return m.Run(), nil
}

// lab returns the lab, unless the test is left out.
func lab(t *testing.T, tools ...string) *Lab {
	t.Helper()
	if testing.Short() {
		t.Skip("left out by -short")
	}
	engines.NeedRoot(t)
	engines.Need(t, tools...)
	l, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return l
}
