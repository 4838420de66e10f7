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
	p := newRegistrationReader(r)
	entries, err := p.entries()
	var infos []*store.Info
	if err == nil {
		infos, err = closure(entries)
	}
	if err != nil {
		return nil, fmt.Errorf("parse registration: %w", refuseInput(err))
	}
	return infos, nil
}

type registrationReader struct {
	s    *bufio.Scanner
	line int
}

func newRegistrationReader(r io.Reader) *registrationReader {
	s := bufio.NewScanner(newBounded(r))
	s.Buffer(make([]byte, 0, maxLine), maxLine)
	return &registrationReader{s: s}
}

func (p *registrationReader) at() string { return "line " + strconv.Itoa(p.line) }

// next returns the next line, or io.EOF.
func (p *registrationReader) next() (string, error) {
	p.line++
	if p.s.Scan() {
		return p.s.Text(), nil
	}
	err := p.s.Err()
	switch {
	case err == nil:
		return "", io.EOF
	case errors.Is(err, bufio.ErrTooLong):
		err = fmt.Errorf("longer than %d bytes", maxLine)
	}
	return "", fmt.Errorf("%s: %w", p.at(), err)
}

// field returns the next line, which must be there.
func (p *registrationReader) field(name string) (string, error) {
	s, err := p.next()
	if err == io.EOF {
		return "", fmt.Errorf("%s: %s: %w", p.at(), name, io.ErrUnexpectedEOF)
	}
	return s, err
}

func (p *registrationReader) entries() ([]*entry, error) {
	var list []*entry
	for {
		path, err := p.next()
		if err == io.EOF {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		if len(list) == maxPaths {
			return nil, fmt.Errorf("%s: more than %d paths", p.at(), maxPaths)
		}
		e, err := p.entry(path)
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
}

func (p *registrationReader) entry(path string) (*entry, error) {
	e := &entry{path: path, at: p.at()}
	var err error
	if e.hash, err = p.field("NAR hash"); err != nil {
		return nil, err
	}
	if e.hash == "" || strings.HasPrefix(e.hash, "/") {
		return nil, fault.Hint(fmt.Errorf("%s: NAR hash: %q is none", p.at(), e.hash),
			"a graph without hashes, as the plain exportReferencesGraph writes, does not do: use closureInfo, structured attributes, or `nix-store --dump-db`")
	}
	if !strings.ContainsAny(e.hash, ":-") {
		e.hash = "sha256:" + e.hash
	}
	if e.size, err = p.number("NAR size", 1<<62); err != nil {
		return nil, err
	}
	if e.deriver, err = p.field("deriver"); err != nil {
		return nil, err
	}
	n, err := p.number("number of references", maxReferences)
	if err != nil {
		return nil, err
	}
	for range n {
		ref, err := p.field("references")
		if err != nil {
			return nil, err
		}
		e.refs = append(e.refs, ref)
	}
	return e, nil
}

func (p *registrationReader) number(name string, limit int64) (int64, error) {
	s, err := p.field(name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || int64(n) > limit {
		return 0, fmt.Errorf("%s: %s: %q: want a number up to %d", p.at(), name, s, limit)
	}
	return int64(n), nil
}
