package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"
)

// side is one of the commands of a row; command makes it anew for every run, and
// what it does for that is not measured.
type side struct {
	command func(ctx context.Context) (*exec.Cmd, error)
	output  string // the file that it writes, removed after each run; empty for none
}

// sample is one run of a side.
type sample struct {
	wall time.Duration
	cpu  time.Duration // of all processors
	peak int64         // bytes resident at most
	size int64         // bytes of the output
}

// versus runs two sides in turns, so often as the bench says, and returns their
// samples: ours[i] and theirs[i] ran next to each other.
func (b *bench) versus(ctx context.Context, us, them side) (ours, theirs []sample, err error) {
	samples, err := b.turns(ctx, us, them)
	if err != nil {
		return nil, nil, err
	}
	return samples[0], samples[1], nil
}

// turns runs any number of sides in turns, every other time from the last to the
// first, and returns the samples of each.
func (b *bench) turns(ctx context.Context, sides ...side) ([][]sample, error) {
	samples := make([][]sample, len(sides))
	order := make([]int, len(sides))
	for i := range order {
		order[i] = i
	}
	for range b.pairs {
		for _, i := range order {
			s, err := measure(ctx, sides[i])
			if err != nil {
				return nil, err
			}
			samples[i] = append(samples[i], s)
		}
		slices.Reverse(order)
	}
	return samples, nil
}

// measure runs one side once, on a quiet disk, and removes its output.
func measure(ctx context.Context, s side) (sample, error) {
	cmd, err := s.command(ctx)
	if err != nil {
		return sample{}, err
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	syscall.Sync()
	if err := forgetPeak(); err != nil {
		return sample{}, err
	}
	start := time.Now()
	err = cmd.Run()
	wall := time.Since(start)
	if err != nil {
		return sample{}, fmt.Errorf("run %s: %w\n%s", strings.Join(cmd.Args, " "), err, said.String())
	}
	out := sample{
		wall: wall,
		cpu:  cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(),
		peak: peakOf(cmd.ProcessState),
	}
	if s.output == "" {
		return out, nil
	}
	made, err := os.Stat(s.output)
	if err != nil {
		return sample{}, err
	}
	out.size = made.Size()
	return out, os.Remove(s.output)
}

// forgetPeak has the system forget the most memory that this program had resident,
// where it can: a process counts that of the one that forked it as its own.
func forgetPeak() error {
	debug.FreeOSMemory()
	err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// peakOf returns the most memory that a process had resident, in bytes. It is
// never less than what this program had when it forked it.
func peakOf(state *os.ProcessState) int64 {
	usage, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return int64(usage.Maxrss) // bytes there, KiB elsewhere
	}
	return int64(usage.Maxrss) * 1024
}

// median returns the middle of the values, or the mean of the middle two.
func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	if n == 0 {
		return 0
	}
	return (v[(n-1)/2] + v[n/2]) / 2
}

// each returns f of every sample.
func each(samples []sample, f func(sample) float64) []float64 {
	out := make([]float64, len(samples))
	for i, s := range samples {
		out[i] = f(s)
	}
	return out
}

func seconds(s sample) float64    { return s.wall.Seconds() }
func cpuSeconds(s sample) float64 { return s.cpu.Seconds() }
func mebibytes(s sample) float64  { return float64(s.peak) / (1 << 20) }
func megabytes(s sample) float64  { return float64(s.size) / 1e6 }
