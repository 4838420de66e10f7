package deb

import (
	"cmp"
	"strings"
)

// compareVersions is less than 0, 0 or more than 0 as the version a is before,
// at or after b, in the order of deb-version(7).
func compareVersions(a, b string) int {
	ea, ua, ra := splitVersion(a)
	eb, ub, rb := splitVersion(b)
	return cmp.Or(compareNumbers(ea, eb), compareParts(ua, ub), compareParts(ra, rb))
}

// splitVersion splits EPOCH:UPSTREAM-REVISION. What is missing counts as 0.
func splitVersion(s string) (epoch, upstream, revision string) {
	if before, after, ok := strings.Cut(s, ":"); ok {
		epoch, s = before, after
	}
	if i := strings.LastIndexByte(s, '-'); i >= 0 {
		return epoch, s[:i], s[i+1:]
	}
	return epoch, s, ""
}

// compareParts compares pieces without digits and numbers, by turns.
func compareParts(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a = cutDigits(a, false)
		y, b = cutDigits(b, false)
		if c := compareText(x, y); c != 0 {
			return c
		}
		x, a = cutDigits(a, true)
		y, b = cutDigits(b, true)
		if c := compareNumbers(x, y); c != 0 {
			return c
		}
	}
	return 0
}

// cutDigits splits s after its first bytes that are digits, or are none.
func cutDigits(s string, digits bool) (head, tail string) {
	i := 0
	for i < len(s) && ('0' <= s[i] && s[i] <= '9') == digits {
		i++
	}
	return s[:i], s[i:]
}

// compareText compares byte by byte: a tilde is before the end, the end before
// letters, and letters before all else.
func compareText(a, b string) int {
	for i := range max(len(a), len(b)) {
		if c := cmp.Compare(rank(a, i), rank(b, i)); c != 0 {
			return c
		}
	}
	return 0
}

func rank(s string, i int) int {
	if i >= len(s) {
		return 0
	}
	switch c := s[i]; {
	case c == '~':
		return -1
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		return int(c)
	default:
		return int(c) + 256
	}
}

// compareNumbers compares decimal numbers of any length.
func compareNumbers(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}
