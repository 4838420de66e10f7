package codec

import "context"

// What a build may have resident, in MiB, and what of it is not encoders. The latter
// is what builds without a codec and builds with small encoders come to, by one worker
// and by more, and some.
const (
	boundBase   = 64
	boundWorker = 8
	restBase    = 28
	restWorker  = 3

	// largeEncoder is what one of zstd's encoders from level 10 on has. Its tables are
	// made for windows of 32 MiB, and of one size only.
	largeEncoder = 37
)

// Encoders encodes parts for any number of goroutines at once. Encoders are made when
// they are needed and used again. Where one is so large that one for each worker
// would not fit into what a build may have of memory, there are fewer, and goroutines
// take turns, whoever has waited longest first. The bytes do not depend on it.
type Encoders struct {
	codec  Codec
	free   chan *encoder
	unmade chan struct{} // as many as may still be made
}

// NewEncoders returns encoders of c for so many workers. They need no closing.
func (c Codec) NewEncoders(workers int) *Encoders {
	n := c.atOnce(workers)
	e := &Encoders{codec: c, free: make(chan *encoder, n), unmade: make(chan struct{}, n)}
	for range n {
		e.unmade <- struct{}{}
	}
	return e
}

// atOnce returns how many encoders of c so many workers have among them. It is never
// none: who has one does nothing but encode, and waits for nobody.
func (c Codec) atOnce(workers int) int {
	workers = max(1, workers)
	if c.algorithm != zstd || c.level < zstdLargeLevel {
		return workers
	}
	room := boundBase + boundWorker*workers - (restBase + restWorker*workers)
	return max(1, min(workers, room/largeEncoder))
}

// Encode appends one member or frame for part to dst and returns the extended
// slice. A part of more than MaxPart bytes is an error. An empty part gives a
// valid, empty member. part is only read, and not kept. Encode waits for an encoder
// if there is none to be had, and returns ctx's error if that is done before.
func (e *Encoders) Encode(ctx context.Context, dst, part []byte) ([]byte, error) {
	encoder, err := e.take(ctx)
	if err != nil {
		return dst, err
	}
	defer func() { e.free <- encoder }()
	return encoder.encode(dst, part)
}

// take returns an encoder that is free, and makes one only if none is.
func (e *Encoders) take(ctx context.Context) (*encoder, error) {
	select {
	case encoder := <-e.free:
		return encoder, nil
	default:
	}
	select {
	case encoder := <-e.free:
		return encoder, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-e.unmade:
	}
	encoder, err := e.codec.newEncoder()
	if err != nil {
		e.unmade <- struct{}{}
	}
	return encoder, err
}
