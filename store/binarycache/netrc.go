package binarycache

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"terrine/store/fault"
)

// maxNetrc bounds a netrc file.
const maxNetrc = 1 << 20

// Login is what a netrc file has for a machine.
type Login struct {
	Machine  string // a host name; "" is the entry for all others
	User     string
	Password string
}

// ParseNetrc reads a netrc file as curl and ftp(1) do: machine, default, login,
// password and account, with macros passed over. Errors name the line and show
// no word that may be secret.
func ParseNetrc(r io.Reader) ([]Login, error) {
	p := &netrcParser{s: bufio.NewScanner(io.LimitReader(r, maxNetrc+1))}
	err := p.run()
	if _, reading := errors.AsType[*fs.PathError](err); reading {
		return nil, err // of the file, and not of what is in it
	}
	if err != nil {
		return nil, fault.New(fault.Refused, fmt.Errorf("parse netrc: line %d: %w", p.line, err))
	}
	return p.logins, nil
}

type netrcParser struct {
	s      *bufio.Scanner
	line   int
	bytes  int
	rest   string // of this line
	logins []Login
}

func (p *netrcParser) run() error {
	for {
		word, err := p.next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = p.entry(word)
		}
		if err != nil {
			return err
		}
	}
}

// blanks are what curl takes to be between words.
const blanks = " \t\r\v\f"

// next returns the next word. As for curl, one that begins with # begins a
// comment, wherever it stands: such a password has to be in quotes.
func (p *netrcParser) next() (word string, err error) {
	for p.rest == "" || p.rest[0] == '#' {
		line, err := p.nextLine()
		if err != nil {
			return "", err
		}
		p.rest = strings.Trim(line, blanks)
	}
	word, p.rest, err = cutWord(p.rest)
	p.rest = strings.TrimLeft(p.rest, blanks)
	return word, err
}

// cutWord returns the first word of a line and what follows it. As for curl, a word
// in double quotes may have spaces in it, and characters after a backslash.
func cutWord(s string) (word, rest string, err error) {
	if s[0] != '"' {
		if i := strings.IndexAny(s, blanks); i >= 0 {
			return s[:i], s[i:], nil
		}
		return s, "", nil
	}
	var w strings.Builder
	escapes := strings.NewReplacer("n", "\n", "r", "\r", "t", "\t")
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return w.String(), s[i+1:], nil
		case s[i] == '\\' && i+1 < len(s):
			i++
			w.WriteString(escapes.Replace(s[i : i+1]))
		default:
			w.WriteByte(s[i])
		}
	}
	return "", "", errors.New("a quoted word without its end")
}

func (p *netrcParser) nextLine() (string, error) {
	p.line++
	if !p.s.Scan() {
		switch err := p.s.Err(); {
		case errors.Is(err, bufio.ErrTooLong):
			return "", fmt.Errorf("more than %d bytes", bufio.MaxScanTokenSize)
		case err != nil:
			return "", err
		}
		return "", io.EOF
	}
	if p.bytes += len(p.s.Bytes()) + 1; p.bytes > maxNetrc {
		return "", fmt.Errorf("more than %d bytes", maxNetrc)
	}
	return p.s.Text(), nil
}

func (p *netrcParser) entry(keyword string) error {
	if keyword == "default" {
		p.logins = append(p.logins, Login{})
		return nil
	}
	if keyword == "macdef" {
		return p.skipMacro()
	}
	if keyword != "machine" && len(p.logins) == 0 {
		return errors.New("want machine or default first")
	}
	switch keyword {
	case "machine", "login", "password", "account":
	default:
		return errors.New("unknown keyword: want machine, default, login, password, account or macdef")
	}
	value, err := p.next()
	if err == io.EOF {
		return fmt.Errorf("%s without a value", keyword)
	}
	if err != nil {
		return err
	}
	if keyword == "machine" {
		p.logins = append(p.logins, Login{Machine: strings.ToLower(value)})
		return nil
	}
	last := &p.logins[len(p.logins)-1]
	switch keyword {
	case "login":
		last.User = value
	case "password":
		last.Password = value
	}
	return nil
}

// skipMacro passes over a macro, which ends with an empty line.
func (p *netrcParser) skipMacro() error {
	p.rest = ""
	for {
		line, err := p.nextLine()
		if err == io.EOF || err == nil && line == "" {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// loginFor returns the first entry for a host, which is in lower case.
func loginFor(logins []Login, host string) (Login, bool) {
	for _, l := range logins {
		if l.Machine == host || l.Machine == "" {
			return l, true
		}
	}
	return Login{}, false
}
