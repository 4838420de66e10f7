package builder

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"terrine/builder/image"
	"terrine/layering"
	"terrine/store/fault"
)

// Bounds of numbers in a spec.
const (
	minMaxLayers = 2                  // one for the store, and the root layer
	maxMaxLayers = image.MaxLayers    // docker's overlay2 refuses one more
	maxID        = math.MaxUint32 - 1 // the last 32-bit number means "no change" to chown
)

// ownerNamePattern is what useradd takes and a ustar header holds.
var ownerNamePattern = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_.-]{0,30})?$`)

// errNoField says that a field does not exist or is not of the kind asked.
var errNoField = errors.New("no such field")

// Set gives a field another value, written as on a command line: name, tag,
// architecture, os, variant, created, mtime, uid, gid, uname, gname, maxLayers,
// includeStorePaths, includeNixDB, tmp, conflicts, join, layering.strategy, layering.minSize,
// layering.chainWeight and layering.rates.
// Errors name the field and have the class fault.Usage.
func (s *Spec) Set(field, value string) error {
	err := s.setText(field, value)
	if errors.Is(err, errNoField) {
		err = s.setNumberText(field, value)
	}
	if errors.Is(err, errNoField) {
		err = s.setTruthText(field, value)
	}
	if err != nil {
		return fault.New(fault.Usage, fmt.Errorf("set %s: %w", field, err))
	}
	return nil
}

func (s *Spec) setNumberText(field, value string) error {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		if errors.Is(s.setNumber(field, 0), errNoField) {
			return errNoField
		}
		return fmt.Errorf("%q is not a whole number", value)
	}
	return s.setNumber(field, n)
}

func (s *Spec) setTruthText(field, value string) error {
	b, err := strconv.ParseBool(value)
	if err != nil {
		if errors.Is(s.setTruth(field, false), errNoField) {
			return errNoField
		}
		return fmt.Errorf("%q is neither true nor false", value)
	}
	return s.setTruth(field, b)
}

// setText sets a field that is a string.
func (s *Spec) setText(field, value string) (err error) {
	switch field {
	case "name":
		s.Name, err = image.ParseName(value)
	case "tag":
		s.Tag, err = value, image.CheckTag(value)
	case "architecture":
		s.Platform.Architecture, err = value, image.CheckArchitecture(value)
	case "os":
		s.Platform.OS, err = value, image.CheckOS(value)
	case "variant":
		s.Platform.Variant, err = value, image.CheckVariant(value)
	case "created":
		s.Created, err = ParseWhen(value)
	case "mtime":
		if s.MTime, err = ParseWhen(value); err == nil {
			err = checkMTime(s.MTime)
		}
	case "uname":
		s.Uname, err = value, checkOwnerName(value)
	case "gname":
		s.Gname, err = value, checkOwnerName(value)
	case "conflicts":
		s.Conflicts, err = value, checkOneOf(value, ConflictsWarn, ConflictsError)
	case "join":
		s.Join, err = value, checkOneOf(value, JoinContents, JoinClosure)
	case "layering.strategy":
		s.Layering.Strategy, err = value, checkOneOf(value, layering.Strategies()...)
	case "layering.chainWeight":
		s.Layering.ChainWeight, err = parseChainWeight(value)
	case "layering.rates":
		s.Layering.Rates, err = value, checkDiskPath(value)
	default:
		err = errNoField
	}
	return err
}

func parseChainWeight(text string) (float64, error) {
	w, err := strconv.ParseFloat(text, 64)
	if err != nil || !(w >= 0 && w <= layering.MaxChainWeight) { // NaN is neither
		return 0, fmt.Errorf("%s is not a number from 0 to %d", text, layering.MaxChainWeight)
	}
	return w, nil
}

// setNumber sets a field that is a whole number.
func (s *Spec) setNumber(field string, n int64) (err error) {
	switch field {
	case "uid":
		s.UID, err = int(n), checkRange(n, 0, maxID)
	case "gid":
		s.GID, err = int(n), checkRange(n, 0, maxID)
	case "maxLayers":
		s.MaxLayers, err = int(n), checkRange(n, minMaxLayers, maxMaxLayers)
	case "layering.minSize":
		s.Layering.MinSize, err = n, checkRange(n, 0, math.MaxInt64)
	default:
		err = errNoField
	}
	return err
}

// setTruth sets a field that is true or false.
func (s *Spec) setTruth(field string, b bool) error {
	switch field {
	case "includeStorePaths":
		s.IncludeStorePaths = b
	case "includeNixDB":
		s.IncludeNixDB = b
	case "tmp":
		s.Tmp = b
	default:
		return errNoField
	}
	return nil
}

func checkRange(n, low, high int64) error {
	switch {
	case n >= low && n <= high:
		return nil
	case high == math.MaxInt64:
		return fmt.Errorf("%d is too small: want at least %d", n, low)
	}
	return fmt.Errorf("%d is not in the range from %d to %d", n, low, high)
}

func checkOneOf(s string, values ...string) error {
	if slices.Contains(values, s) {
		return nil
	}
	err := fmt.Sprintf("unknown value %q: want one of %s", s, strings.Join(values, ", "))
	if near := nearest(s, values); near != "" {
		err = fmt.Sprintf("unknown value %q: did you mean %q?", s, near)
	}
	return errors.New(err)
}

func checkOwnerName(s string) error {
	if !ownerNamePattern.MatchString(s) {
		return fmt.Errorf("%q is no name of a user or group: want at most 31 letters, digits and _ . -, not beginning with a digit, . or -", s)
	}
	return nil
}

// nearest returns the one of names that s was most likely meant to be, or "".
func nearest(s string, names []string) string {
	best, least := "", len(s)/3+2
	for _, name := range names {
		if strings.EqualFold(s, name) {
			return name
		}
		if d := distance(strings.ToLower(s), strings.ToLower(name)); d < least {
			best, least = name, d
		}
	}
	return best
}

// distance is the number of bytes to insert, delete or replace to get from one
// string to another (Levenshtein). Long strings are far from everything.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return max(len(a), len(b))
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
