package host

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"terrine/store"
	"terrine/store/fault"
)

// maxLine bounds a line of registration text: a store path is the longest
// thing that stands on one.
const maxLine = 4096

// ParseRegistration reads a closure from registration text: what
// `nix-store --dump-db PATH…` prints, `nix-store --load-db` reads, and
// closureInfo keeps as its file "registration". For each path there are these
// lines: the path, its NAR hash (base-16 without algorithm, or any spelling of
// Nix's), its NAR size, its deriver or an empty line, the number of its
// references, and the references one a line.
//
// The result is sorted by path. Errors are of class fault.Refused and name
// line and field. See the package comment for what is checked.
func ParseRegistration(r io.Reader) ([]*store.Info, error) {
	return infos(parseRegistration(r))
}

func parseRegistration(r io.Reader) (c *store.Closure, err error) {
	list := newListing()
	if err = newRegistrationReader(r, list).read(); err == nil {
		c, err = list.closure()
	}
	if err != nil {
		return nil, fmt.Errorf("parse registration: %w", refuseInput(err))
	}
	return c, nil
}

type registrationReader struct {
	s    *bufio.Scanner
	line int
	list *listing
	refs []uint32
}

func newRegistrationReader(r io.Reader, list *listing) *registrationReader {
	s := bufio.NewScanner(newBounded(r))
	s.Buffer(make([]byte, 0, maxLine), maxLine)
	return &registrationReader{s: s, list: list}
}

func (p *registrationReader) at() string { return "line " + strconv.Itoa(p.line) }

// next returns the next line, or io.EOF. It is valid until the next call.
func (p *registrationReader) next() ([]byte, error) {
	p.line++
	if p.s.Scan() {
		return p.s.Bytes(), nil
	}
	err := p.s.Err()
	switch {
	case err == nil:
		return nil, io.EOF
	case errors.Is(err, bufio.ErrTooLong):
		err = fmt.Errorf("longer than %d bytes", maxLine)
	}
	return nil, fmt.Errorf("%s: %w", p.at(), err)
}

// field is next for a line that must be there.
func (p *registrationReader) field(name string) ([]byte, error) {
	s, err := p.next()
	if err == io.EOF {
		return nil, fmt.Errorf("%s: %s: %w", p.at(), name, io.ErrUnexpectedEOF)
	}
	return s, err
}

// read adds all paths to the list.
func (p *registrationReader) read() error {
	for {
		path, err := p.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if p.list.builder.Len() == maxPaths {
			return fmt.Errorf("%s: more than %d paths", p.at(), maxPaths)
		}
		if err := p.entry(p.list.builder.Number(path)); err != nil {
			return err
		}
	}
}

func (p *registrationReader) entry(path uint32) error {
	line := p.line
	i := &store.Info{}
	text, err := p.field("NAR hash")
	if err != nil {
		return err
	}
	hash := string(text)
	if hash == "" || strings.HasPrefix(hash, "/") {
		return fault.Hint(fmt.Errorf("%s: NAR hash: %q is none", p.at(), hash),
			"a graph without hashes, as the plain exportReferencesGraph writes, does not do: use closureInfo, structured attributes, or `nix-store --dump-db`")
	}
	if !strings.ContainsAny(hash, ":-") {
		hash = "sha256:" + hash
	}
	if i.NARSize, err = p.number("NAR size", 1<<62); err != nil {
		return err
	}
	deriver, err := p.field("deriver")
	if err != nil {
		return err
	}
	i.Deriver = store.Path(deriver)
	n, err := p.number("number of references", maxReferences)
	if err != nil {
		return err
	}
	p.refs = p.refs[:0]
	for range n {
		ref, err := p.field("references")
		if err != nil {
			return err
		}
		p.refs = append(p.refs, p.list.builder.Number(ref))
	}
	return p.list.add(path, i, hash, p.refs, line)
}

func (p *registrationReader) number(name string, limit int64) (int64, error) {
	s, err := p.field(name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(string(s), 10, 63)
	if err != nil || int64(n) > limit {
		return 0, fmt.Errorf("%s: %s: %q: want a number up to %d", p.at(), name, s, limit)
	}
	return int64(n), nil
}
