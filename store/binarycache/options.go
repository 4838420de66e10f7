package binarycache

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"io"
	"time"

	"terrine/store"
)

// How failures of the network are met. With the defaults an outage of about
// half a minute is outlived.
const (
	maxFailures    = 5 // of one file in a row that it is asked for again after
	defaultStall   = 30 * time.Second
	defaultWorkers = 8
	firstPause     = 250 * time.Millisecond // doubled with each failure
	maxPause       = 15 * time.Second
	maxWait        = 2 * time.Minute // that a server may ask for
	maxAttempts    = 100             // for one file, however many of them got further
)

// Options of a Cache. The zero value reads caches for /nix/store and trusts no
// key.
type Options struct {
	// StoreDir is the store directory of the paths; "" is store.DefaultDir.
	StoreDir store.Dir
	// Keys may sign paths.
	Keys []PublicKey
	// Logins are tried for the host of the cache.
	Logins []Login

	// Workers is how many files are read at once; 0 is 8.
	Workers int
	// Progress, if not nil, is told of what is read.
	Progress Progress

	// What tests replace: how long nothing may come before the connection counts
	// as broken (0 is half a minute), pauses, the clock, and the random source of
	// the pauses' jitter.
	Stall time.Duration
	Sleep func(ctx context.Context, d time.Duration) error
	Now   func() time.Time
	Rand  io.Reader
}

// Progress is told how a copy goes on, from several goroutines at once.
type Progress interface {
	// Stage begins a stage that will take total bytes.
	Stage(name string, total int64)
	// Add says that n more bytes are done.
	Add(n int64)
}

func (o Options) withDefaults() *Options {
	if o.StoreDir == "" {
		o.StoreDir = store.DefaultDir
	}
	if o.Workers <= 0 {
		o.Workers = defaultWorkers
	}
	if o.Stall <= 0 {
		o.Stall = defaultStall
	}
	if o.Progress == nil {
		o.Progress = silent{}
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	return &o
}

type silent struct{}

func (silent) Stage(string, int64) {}
func (silent) Add(int64)           {}

// sleep waits, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// backoff returns the pause after so many failures in a row: between half and
// all of one that doubles, so that many clients do not come back at once.
func (o *Options) backoff(failures int) (time.Duration, error) {
	pause := firstPause << min(failures-1, 10)
	pause = min(pause, maxPause)
	var b [8]byte
	if _, err := io.ReadFull(o.Rand, b[:]); err != nil {
		return 0, err
	}
	half := uint64(pause / 2)
	return time.Duration(half + binary.LittleEndian.Uint64(b[:])%(half+1)), nil
}
