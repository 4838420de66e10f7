package binarycache

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"terrine/store/fault"
)

var errStalled = errors.New("nothing comes any more")

// download reads one file of a remote cache. When the connection breaks, it
// connects again and asks for the rest.
type download struct {
	*remote
	ctx context.Context
	url *url.URL

	body   io.ReadCloser // nil when there is no connection
	cancel context.CancelCauseFunc
	conn   context.Context // of the connection: ends when it stalls

	offset    int64
	total     int64  // bytes of the file; -1 if the server does not say
	validator string // ETag or date, for If-Range
	failures  int    // since something last came
	attempts  int    // in all
	err       error
}

func (d *download) Read(p []byte) (int, error) {
	for d.err == nil {
		if d.body == nil {
			if d.err = d.connect(); d.err != nil {
				break
			}
		}
		n, err := d.watch(func() (int, error) { return d.body.Read(p) })
		d.offset += int64(n)
		if n > 0 {
			d.failures = 0
		}
		if err == io.EOF && (d.total < 0 || d.offset == d.total) {
			d.err = io.EOF
		} else if err != nil {
			d.drop()
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			d.err = d.again(err, 0)
		}
		if n > 0 {
			return n, nil
		}
		if d.err == nil && err == nil && len(p) == 0 {
			return 0, nil
		}
	}
	return 0, d.err
}

func (d *download) Close() error {
	d.drop()
	if d.err == nil {
		d.err = errors.New("read after close")
	}
	return nil
}

// drop gives up the connection.
func (d *download) drop() {
	if d.body != nil {
		d.body.Close()
		d.cancel(nil)
		d.body = nil
	}
}

// watch runs a step of the connection, which it ends when that takes too long.
func (d *download) watch(step func() (int, error)) (int, error) {
	cancel := d.cancel
	timer := time.AfterFunc(d.o.Stall, func() { cancel(errStalled) })
	defer timer.Stop()
	n, err := step()
	if err != nil && err != io.EOF {
		if cause := context.Cause(d.conn); cause != nil {
			err = cause
		}
	}
	return n, err
}

// connect requests the file from offset on, until there is an answer.
func (d *download) connect() error {
	for {
		wait, err := d.request()
		if err == nil {
			return nil
		}
		d.drop()
		if err := d.again(err, wait); err != nil {
			return err
		}
	}
}

// again decides what follows a failure: nil, after a pause of at least wait, if
// it is worth another attempt.
func (d *download) again(err error, wait time.Duration) error {
	if d.ctx.Err() != nil {
		return context.Cause(d.ctx)
	}
	if _, bad := errors.AsType[*tls.CertificateVerificationError](err); bad {
		return fault.New(fault.Network, err)
	}
	if errors.Is(err, errAbsent) || fault.CodeOf(err) != fault.Failed {
		return err
	}
	d.failures++
	d.attempts++
	if d.failures > maxFailures || d.attempts > maxAttempts {
		return fault.New(fault.Network, fmt.Errorf("%w (after %d attempts)", err, d.attempts))
	}
	if wait > maxWait {
		return fault.New(fault.Network, fmt.Errorf("%w, and to be asked again after %s only", err, wait))
	}
	pause, jitterErr := d.o.backoff(d.failures)
	if jitterErr != nil {
		return jitterErr
	}
	return d.o.Sleep(d.ctx, max(wait, pause))
}

// request makes one attempt to get what comes after offset. A failure without a
// class is worth another, after the time that comes with it.
func (d *download) request() (wait time.Duration, err error) {
	d.conn, d.cancel = context.WithCancelCause(d.ctx)
	header := http.Header{"Accept-Encoding": {"identity"}}
	if d.offset > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", d.offset))
		if d.validator != "" {
			header.Set("If-Range", d.validator)
		}
	}
	var resp *http.Response
	_, err = d.watch(func() (_ int, err error) {
		resp, err = d.get(d.conn, d.url, header)
		return 0, err
	})
	if err != nil {
		d.cancel(nil)
		return 0, err
	}
	if err := d.answer(resp); err != nil {
		resp.Body.Close()
		d.cancel(nil)
		return retryAfter(resp, d.o.Now()), fmt.Errorf("get %s: %w", show(d.url), err)
	}
	d.body = resp.Body
	if resp.StatusCode == http.StatusOK && d.offset > 0 {
		// The server sends all of it, or what it has now instead. Whether the
		// two parts belong together, the hash will tell.
		err = d.skip(d.offset)
	}
	return 0, err
}

// skip reads n bytes that are known already.
func (d *download) skip(n int64) error {
	buf := make([]byte, 64<<10)
	for n > 0 {
		got, err := d.watch(func() (int, error) { return d.body.Read(buf[:min(n, int64(len(buf)))]) })
		n -= int64(got)
		if err == io.EOF && n > 0 {
			return io.ErrUnexpectedEOF
		}
		if err != nil && err != io.EOF {
			return err
		}
	}
	return nil
}

// answer judges the status and the headers of a response.
func (d *download) answer(resp *http.Response) error {
	switch code := resp.StatusCode; code {
	case http.StatusOK:
		return d.accept(resp, resp.ContentLength)
	case http.StatusPartialContent:
		total, err := d.partial(resp.Header.Get("Content-Range"))
		if err != nil {
			return err
		}
		return d.accept(resp, total)
	case http.StatusNotFound, http.StatusGone:
		return errAbsent
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		err := fault.New(fault.Auth, fmt.Errorf("the server says %s", status(resp)))
		return fault.Hint(err, "put the login for this host into a netrc file, see --netrc")
	case http.StatusRequestedRangeNotSatisfiable:
		if d.total < 0 && resp.Header.Get("Content-Range") == fmt.Sprintf("bytes */%d", d.offset) {
			// All of it was there, and only the end of a response got lost.
			resp.Body.Close()
			d.total, resp.Body = d.offset, http.NoBody
			return nil
		}
		return fault.New(fault.Integrity, errors.New("the file has changed while it was read"))
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return fmt.Errorf("the server says %s", status(resp))
	}
	return fault.New(fault.Network, fmt.Errorf("the server says %s", status(resp)))
}

// status is the status in words that are not the server's.
func status(resp *http.Response) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode)))
}

// accept takes the size and the validator of a response.
func (d *download) accept(resp *http.Response, total int64) error {
	if e := resp.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return fault.New(fault.Integrity, fmt.Errorf("the server has encoded the file as %.40q, which was not asked for", e))
	}
	if kind := resp.Header.Get("Content-Type"); strings.HasPrefix(strings.ToLower(kind), "text/html") {
		return fault.New(fault.Integrity, errors.New("the server sends a web page instead of the file"))
	}
	if d.offset > 0 && d.total >= 0 && total >= 0 && total != d.total {
		return fault.New(fault.Integrity, fmt.Errorf("the file has changed while it was read: it had %d bytes, and has %d", d.total, total))
	}
	if total >= 0 {
		d.total = total
	}
	if d.offset == 0 {
		d.validator = validator(resp.Header)
	}
	return nil
}

// validator returns what If-Range may be given: a strong ETag, or a date.
func validator(h http.Header) string {
	if tag := h.Get("ETag"); strings.HasPrefix(tag, `"`) {
		return tag
	}
	return h.Get("Last-Modified")
}

// partial reads Content-Range: "bytes FIRST-LAST/TOTAL".
func (d *download) partial(s string) (total int64, err error) {
	wrong := fault.New(fault.Integrity, fmt.Errorf("the server sends the wrong part: %.80q, not from byte %d on", s, d.offset))
	span, size, ok := strings.Cut(strings.TrimPrefix(s, "bytes "), "/")
	first, last, ok2 := strings.Cut(span, "-")
	from, err1 := strconv.ParseInt(first, 10, 64)
	to, err2 := strconv.ParseInt(last, 10, 64)
	if !ok || !ok2 || err1 != nil || err2 != nil || from != d.offset || to < from {
		return 0, wrong
	}
	if size == "*" {
		return -1, nil
	}
	if total, err = strconv.ParseInt(size, 10, 64); err != nil || total != to+1 {
		return 0, wrong
	}
	return total, nil
}

// retryAfter returns what the server asks to wait: seconds or a date.
func retryAfter(resp *http.Response, now time.Time) time.Duration {
	s := resp.Header.Get("Retry-After")
	if n, err := strconv.ParseInt(s, 10, 32); err == nil && n > 0 {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(s); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}
