package builder

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The instants that images can hold: RFC 3339 has years of four digits, and a
// tar header has eleven octal digits for seconds after the epoch.
const (
	minInstant = 0
	maxInstant = 253402300799 // 9999-12-31T23:59:59Z
	maxMTime   = 1<<33 - 1    // 2242-03-16T12:56:31Z
)

// isoPattern is the part of ISO 8601 that is understood: a date, and after it
// a time, and after that an offset from UTC. Without an offset it is UTC.
var isoPattern = regexp.MustCompile(`^(\d{4}-\d{2}-\d{2})(?:[Tt ](\d{2}:\d{2})(:\d{2})?(\.\d{1,9})?([Zz]|[+-]\d{2}:?\d{2})?)?$`)

var digitsPattern = regexp.MustCompile(`^[0-9]+$`)

// parseWhen reads an instant as a spec and a flag have it: "now", RFC 3339 or
// another form of ISO 8601, or seconds after the epoch ("1", "@1"). Eight bare
// digits are refused: they could be a date as well.
func parseWhen(s string) (When, error) {
	if s == "now" {
		return When{Set: true, Now: true}, nil
	}
	t, err := parseInstant(s)
	if err != nil {
		return When{}, err
	}
	if t.Unix() < minInstant || t.Unix() > maxInstant {
		return When{}, fmt.Errorf("%q is not between 1970 and 9999", s)
	}
	return When{Set: true, Time: t}, nil
}

func parseInstant(s string) (time.Time, error) {
	if at, ok := strings.CutPrefix(s, "@"); ok {
		return parseEpoch(at)
	}
	if digitsPattern.MatchString(s) {
		if len(s) == 8 {
			return time.Time{}, fmt.Errorf("%q may be a date or a number of seconds: write %s-%s-%s or @%s", s, s[:4], s[4:6], s[6:], s)
		}
		return parseEpoch(s)
	}
	m := isoPattern.FindStringSubmatch(s)
	if m == nil {
		return time.Time{}, fmt.Errorf(`%q is no instant: want "now", a date like 2024-01-31T12:00:00Z, or seconds after the epoch`, s)
	}
	date, clock, seconds, fraction, zone := m[1], m[2], m[3], m[4], m[5]
	if clock == "" {
		clock = "00:00"
	}
	if seconds == "" {
		if fraction != "" {
			return time.Time{}, fmt.Errorf("%q has a fraction but no seconds", s)
		}
		seconds = ":00"
	}
	switch {
	case zone == "" || zone == "z":
		zone = "Z"
	case len(zone) == len("+hhmm"):
		zone = zone[:3] + ":" + zone[3:]
	}
	t, err := time.Parse(time.RFC3339Nano, date+"T"+clock+seconds+fraction+zone)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is no date of the calendar", s)
	}
	return t.UTC(), nil
}

func parseEpoch(s string) (time.Time, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || !digitsPattern.MatchString(s) {
		return time.Time{}, errors.New("want a number of seconds after the epoch")
	}
	if n > maxInstant {
		return time.Time{}, errors.New("the year would be after 9999")
	}
	return time.Unix(n, 0).UTC(), nil
}

// checkMTime reports whether w can stand in a tar header without an extension.
func checkMTime(w When) error {
	if w.Set && !w.Now && (w.Time.Unix() > maxMTime || w.Time.Nanosecond() != 0) {
		return fmt.Errorf("%s is not a whole second before 2242-03-16T12:56:32Z, as a tar header wants", w.Time.Format(time.RFC3339Nano))
	}
	return nil
}
