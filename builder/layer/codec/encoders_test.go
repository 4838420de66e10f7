package codec

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

func largeCodec(t *testing.T) Codec {
	t.Helper()
	c, err := Zstd(19)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestEncodersFit: a build has 64 MiB and 8 for each worker, whatever the codec.
func TestEncodersFit(t *testing.T) {
	for workers, want := range map[int]int{0: 1, 1: 1, 2: 1, 7: 1, 8: 2, 16: 3, 64: 9} {
		n := largeCodec(t).atOnce(workers)
		if n != want {
			t.Errorf("%d workers have %d large encoders, want %d", workers, n, want)
		}
		if all := restBase + restWorker*workers + n*largeEncoder; all > boundBase+boundWorker*max(1, workers) {
			t.Errorf("%d workers: %d MiB", workers, all)
		}
		for id, c := range codecs(t) {
			if n := c.atOnce(workers); c != largeCodec(t) && n != max(1, workers) {
				t.Errorf("%s: %d workers have %d encoders", id, workers, n)
			}
		}
	}
}

// TestEncodersTakeTurns: whoever has waited longest is served next, and nobody waits
// for ever.
func TestEncodersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := largeCodec(t).NewEncoders(1)
		held, err := e.take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var order []int
		for i := range 5 {
			go func() {
				encoder, err := e.take(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				e.free <- encoder
			}()
			synctest.Wait() // it waits
		}
		e.free <- held
		synctest.Wait()
		if !slices.Equal(order, []int{0, 1, 2, 3, 4}) {
			t.Errorf("served in the order %v", order)
		}
	})
}

// TestEncodersEndWithTheirContext: who waits for an encoder does not when the build
// has ended.
func TestEncodersEndWithTheirContext(t *testing.T) {
	e := largeCodec(t).NewEncoders(2)
	if _, err := e.take(t.Context()); err != nil { // and never gives it back
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dst, err := e.Encode(ctx, []byte("before"), []byte("part"))
	if !errors.Is(err, context.Canceled) || string(dst) != "before" {
		t.Errorf("%q, error %v", dst, err)
	}
}

// TestEncodersUsedLong: a part has the same bytes when many others have gone through
// the encoder before, more than the positions in its tables can count.
func TestEncodersUsedLong(t *testing.T) {
	part := words(200_000, 3)
	for _, level := range []int{1, Default, 6, 19} {
		c, err := Zstd(level)
		if err != nil {
			t.Fatal(err)
		}
		want, e := encode(t, c, part), c.NewEncoders(1)
		for i := range 3000 { // each moves the position by the window of 1 MiB
			if _, err := e.Encode(t.Context(), nil, part[i:i+500]); err != nil {
				t.Fatal(err)
			}
			if i%250 != 0 {
				continue
			}
			if got, err := e.Encode(t.Context(), nil, part); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("level %d: other bytes after %d parts (%v)", level, i, err)
			}
		}
	}
}

// TestEncodersAtOnce: many goroutines have the bytes of one, by no more encoders than
// there may be, and those that are there are used before another is made.
func TestEncodersAtOnce(t *testing.T) {
	c, part := largeCodec(t), words(50_000, 4)
	want := encode(t, c, part)
	e := c.NewEncoders(8)
	for range 3 {
		if _, err := e.Encode(t.Context(), nil, part); err != nil {
			t.Fatal(err)
		}
	}
	if made := len(e.free); made != 1 {
		t.Errorf("one after the other has made %d encoders", made)
	}
	var g sync.WaitGroup
	for range 8 {
		g.Go(func() {
			for range 5 {
				if got, err := e.Encode(t.Context(), nil, part); err != nil || !bytes.Equal(got, want) {
					t.Errorf("other bytes (%v)", err)
				}
			}
		})
	}
	g.Wait()
	if made := len(e.free); made > c.atOnce(8) {
		t.Errorf("%d encoders, want at most %d", made, c.atOnce(8))
	}
}
