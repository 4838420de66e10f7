package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// side is one of the two commands of a row. It writes its output to the file
// that the row names; command makes it anew for every run.
type side struct {
	command func(ctx context.Context) (*exec.Cmd, error)
	output  string
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
	for i := range b.pairs {
		turn := []struct {
			side side
			into *[]sample
		}{{us, &ours}, {them, &theirs}}
		if i%2 == 1 {
			slices.Reverse(turn)
		}
		for _, t := range turn {
			s, err := measure(ctx, t.side)
			if err != nil {
				return nil, nil, err
			}
			*t.into = append(*t.into, s)
		}
	}
	return ours, theirs, nil
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
	start := time.Now()
	err = cmd.Run()
	wall := time.Since(start)
	if err != nil {
		return sample{}, fmt.Errorf("run %s: %w\n%s", strings.Join(cmd.Args, " "), err, said.String())
	}
	made, err := os.Stat(s.output)
	if err != nil {
		return sample{}, err
	}
	if err := os.Remove(s.output); err != nil {
		return sample{}, err
	}
	cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return sample{wall: wall, cpu: cpu, peak: peakOf(cmd.ProcessState), size: made.Size()}, nil
}

// peakOf returns the most memory that a process had resident, in bytes. It is
// never less than what this program has, because a process counts the memory of
// the one that forked it until it executes its own program.
func peakOf(state *os.ProcessState) int64 {
	usage, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return usage.Maxrss // bytes there, KiB elsewhere
	}
	return usage.Maxrss * 1024
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
