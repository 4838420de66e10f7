package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"terrine/store/durable"
)

// color is an SGR parameter of ECMA-48.
type color string

const (
	red    color = "31"
	yellow color = "33"
)

// paint colours text meant for stderr, where that is a terminal and nobody
// has asked to be spared (https://no-color.org).
func (a *app) paint(c color, text string) string {
	if !a.StderrTerminal || a.Getenv("NO_COLOR") != "" || a.Getenv("TERM") == "dumb" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[m"
}

// say writes a line to stderr.
func (a *app) say(line string) { fmt.Fprintln(a.Stderr, oneLine(line)) }

// warn says what is no error, and may be a mistake.
func (a *app) warn(text string) {
	fmt.Fprintln(a.Stderr, a.paint(yellow, "warning:"), oneLine(text))
}

// oneLine returns s in a form that can neither break a line nor steer a
// terminal: file names in messages may hold any byte.
func oneLine(s string) string {
	clean := utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
	if clean {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
		s = s[n:]
	}
	return b.String()
}

// sentence returns the text of err with several errors in it, which errors.Join
// has on a line each, after one another, and each only once.
func sentence(err error) string {
	text := err.Error()
	switch e := err.(type) {
	case interface{ Unwrap() []error }:
		var lines, parts []string
		for _, one := range e.Unwrap() {
			lines = append(lines, one.Error())
			if part := sentence(one); !slices.Contains(parts, part) {
				parts = append(parts, part)
			}
		}
		if text == strings.Join(lines, "\n") {
			return strings.Join(parts, "; ")
		}
	case interface{ Unwrap() error }:
		inner := e.Unwrap()
		if inner == nil {
			return text
		}
		if before, ok := strings.CutSuffix(text, inner.Error()); ok {
			return before + sentence(inner)
		}
	}
	return text
}

// size writes a number of bytes for people, in powers of ten.
func size(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n), 0
	for f >= 999.95 && unit < 5 {
		f /= 1000
		unit++
	}
	return fmt.Sprintf("%.1f %cB", f, " kMGTP"[unit])
}

// parseSize reads a number of bytes with a unit of powers of ten, as size writes
// it.
func parseSize(s string) (int64, error) {
	digits := strings.TrimRight(strings.TrimSuffix(s, "B"), " kKMGT")
	n, err := strconv.ParseFloat(digits, 64)
	factor := 1.0
	switch unit := strings.TrimSpace(strings.TrimSuffix(s[len(digits):], "B")); unit {
	case "":
	case "k", "K":
		factor = 1e3
	case "M":
		factor = 1e6
	case "G":
		factor = 1e9
	case "T":
		factor = 1e12
	default:
		err = errors.New("unit")
	}
	if err != nil || !(n*factor >= 1 && n*factor <= 1e18) { // nor is it NaN
		return 0, errors.New("want a number of bytes such as 500M or 10G")
	}
	return int64(n * factor), nil
}

// parseAge reads a duration of Go's, or a number of days: a century at most.
func parseAge(s string) (time.Duration, error) {
	const most = 100 * 365 * 24 * time.Hour
	text, scale := s, time.Duration(1)
	if days, ok := strings.CutSuffix(s, "d"); ok && strings.Trim(days, ".0123456789") == "" {
		text, scale = days+"h", 24
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 || d > most/scale {
		return 0, errors.New("want a time such as 12h or 30d")
	}
	return d * scale, nil
}

// short returns the first 12 characters of the hexadecimal part of a digest:
// enough to tell the layers of an image apart in a table.
func short(digest string) string {
	if _, hex, ok := strings.Cut(digest, ":"); ok && len(hex) > 12 {
		return hex[:12]
	}
	return digest
}

// count writes "1 path", "2 paths".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// writeJSON writes v indented and without HTML escapes, with a newline.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// writeJSONFile is writeJSON into a file.
func writeJSONFile(ctx context.Context, name string, v any) error {
	var text bytes.Buffer
	if err := writeJSON(&text, v); err != nil {
		return err
	}
	return writeFile(ctx, name, text.Bytes())
}

// array returns a copy of list that JSON has as [] if it is empty, and not as null.
func array[T any](list []T) []T { return append([]T{}, list...) }

// writeFile writes text to a file, which appears when it is whole. What is no file
// stays what it is: a pipe, a device, and a symlink, as /dev/stderr is one. An error
// reads "write NAME: cause".
func writeFile(ctx context.Context, name string, text []byte) error {
	if info, err := os.Lstat(name); err == nil && !info.Mode().IsRegular() {
		if err := os.WriteFile(name, text, 0o644); err != nil {
			return durable.WriteError(name, err)
		}
		return nil
	}
	return durable.WriteFile(ctx, name, text, 0o644, durable.Options{})
}
