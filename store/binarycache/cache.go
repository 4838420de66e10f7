package binarycache

import (
	"context"
	"errors"
	"fmt"
	"io"

	"terrine/store"
	"terrine/store/compression"
	"terrine/store/fault"
)

// Cache is a binary cache that is read. It may be used by several goroutines at
// once.
type Cache struct {
	location string // for people
	place    place
	o        *Options
	windows  *compression.Windows
}

// Open opens the cache at a URL: http:, https: or file:. A place that is no cache,
// or one for another store directory, is of class fault.Refused. Close it when
// done.
//
// A failure of the network, after retries, is of class fault.Network; a server
// that wants other credentials, or any, of class fault.Auth. That holds for all
// methods.
func Open(ctx context.Context, location string, o Options) (*Cache, error) {
	c := &Cache{location: redact(location), o: o.withDefaults(), windows: compression.NewWindows()}
	var err error
	if c.place, err = newPlace(location, c.o); err != nil {
		return nil, fmt.Errorf("open cache %s: %w", c.location, err)
	}
	if err := c.checkKind(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open cache %s: %w", c.location, err), c.place.close())
	}
	return c, nil
}

// Close lets connections and directories go.
func (c *Cache) Close() error { return c.place.close() }

func (c *Cache) checkKind(ctx context.Context) error {
	text, err := c.read(ctx, cacheInfo, maxCacheInfo)
	if errors.Is(err, errAbsent) {
		return fault.New(fault.Refused, errors.New("it is no binary cache: it has no nix-cache-info"))
	}
	if err != nil {
		return err
	}
	return checkCacheInfo(c.o.StoreDir, text)
}

// read returns a small file.
func (c *Cache) read(ctx context.Context, name string, limit int64) ([]byte, error) {
	f, err := c.place.open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fault.New(fault.Refused, fmt.Errorf("%s has more than %d bytes", name, limit))
	}
	return text, err
}

// Info returns what the cache says of a path, if it may be trusted: a signature
// that is missing or wrong is of class fault.Integrity. If the cache does not
// have the path, errors.Is(err, store.ErrNotFound).
func (c *Cache) Info(ctx context.Context, p store.Path) (*Narinfo, error) {
	n, err := c.info(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("find %s in %s: %w", p, c.location, err)
	}
	return n, nil
}

func (c *Cache) info(ctx context.Context, p store.Path) (*Narinfo, error) {
	if _, err := c.o.StoreDir.ParsePath(string(p)); err != nil {
		return nil, err
	}
	text, err := c.read(ctx, p.Digest()+".narinfo", maxInfo)
	if errors.Is(err, errAbsent) {
		return nil, store.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	n, err := parseNarinfo(c.o.StoreDir, text)
	if err != nil {
		return nil, err
	}
	if n.Path != p {
		return nil, fault.New(fault.Refused, fmt.Errorf("its narinfo is that of %s", n.Path))
	}
	_, err = judge(&n.Info, c.o.Keys)
	return n, err
}

// NAR returns the NAR of a path that Info has described. It asks for it at the
// first Read. io.EOF comes only after all that was read has turned out to be
// what the narinfo says: whoever publishes nothing before it publishes nothing
// wrong. What does not match is of class fault.Integrity.
func (c *Cache) NAR(ctx context.Context, n *Narinfo) io.ReadCloser {
	return &narReader{c: c, ctx: ctx, info: n}
}
