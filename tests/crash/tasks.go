//go:build linux

package crash

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"terrine/store"
)

// argVar is the argument of a task: a path.
const argVar = "TERRINE_CRASH_ARG"

// Task runs what the environment says: work, see Work, or one of those that
// do one thing in a way that no command does.
func Task(ctx context.Context) error {
	root, arg := os.Getenv(storeVar), os.Getenv(argVar)
	switch task := os.Getenv(taskVar); task {
	case "work":
		return Work(ctx)
	case "stop": // adds ARG, and stops like by control-Z while it makes the object
		return addWith(ctx, root, arg, func() { syscall.Kill(os.Getpid(), syscall.SIGSTOP) })
	case "panic": // adds ARG, and panics while it makes the object
		return addWith(ctx, root, arg, func() { panic("a worker panics") })
	case "hold": // holds ARG many times, and stays
		return holdMany(ctx, root, store.Path(arg))
	default:
		return fmt.Errorf("no task %q", task)
	}
}

func addWith(ctx context.Context, root, path string, do func()) error {
	s, err := store.Open(ctx, root, store.Options{Fail: func(point string) error {
		if point == "store.fill" {
			do()
		}
		return nil
	}})
	if err != nil {
		return err
	}
	info, err := s.Add(ctx, path, store.AddOptions{})
	if err == nil {
		fmt.Println(info.Path)
	}
	return errors.Join(err, s.Close())
}

// holders is how many stores a process of holdMany has open.
const holders = 50

func holdMany(ctx context.Context, root string, p store.Path) error {
	for i := range holders {
		s, err := store.Open(ctx, root, store.Options{})
		if err != nil {
			return err
		}
		if _, err := s.Hold(ctx, p); err != nil {
			return fmt.Errorf("hold %s: %w", strconv.Itoa(i), err)
		}
	}
	fmt.Println("held")
	select {}
}
