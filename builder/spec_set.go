package builder

import (
	"cmp"
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
	minMaxLayers = 2               // one for the store, and the root layer
	maxMaxLayers = image.MaxLayers // docker's overlay2 refuses one more
	// The last 32-bit number means "no change" to chown; not every int holds the others.
	maxID = min(math.MaxUint32-1, math.MaxInt)
)

// ownerNamePattern is what useradd takes and a ustar header holds.
var ownerNamePattern = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_.-]{0,30})?$`)

// errNoField says that a field does not exist or is not of the kind asked.
var errNoField = errors.New("no such field")

// Set gives a field another value, written as on a command line: name, tag,
// architecture, os, variant, created, mtime, uid, gid, uname, gname, maxLayers,
// includeStorePaths, includeNixDB, tmp, conflicts, join, layering.strategy,
// layering.minSize, layering.chainWeight and layering.rates.
//
// Errors say what is wrong with the value, and have the class fault.Usage. They do
// not name the field, since users may know it by another name. What the spec holds
// after an error is not defined.
func (s *Spec) Set(field, value string) error {
	err := s.setText(field, value)
	if errors.Is(err, errNoField) {
		err = s.setNumberText(field, value)
	}
	if errors.Is(err, errNoField) {
		err = s.setTruthText(field, value)
	}
	return fault.New(fault.Usage, err)
}

// AddLabel adds a label, in place of another of that name. Errors are as those of
// Set.
func (s *Spec) AddLabel(name, value string) error { return addPair(&s.Labels, name, value) }

// AddAnnotation is AddLabel for annotations.
func (s *Spec) AddAnnotation(name, value string) error { return addPair(&s.Annotations, name, value) }

func addPair(to *map[string]string, name, value string) error {
	if err := cmp.Or(checkLabelName(name), checkText(value)); err != nil {
		return fault.New(fault.Usage, err)
	}
	if *to == nil {
		*to = map[string]string{}
	}
	(*to)[name] = value
	return nil
}

// AddPin adds a pin behind those there are. Errors are as those of Set.
func (s *Spec) AddPin(glob, layer string) error {
	if err := cmp.Or(checkPinGlob(glob), checkLayerName(layer)); err != nil {
		return fault.New(fault.Usage, err)
	}
	s.Layering.Pins = append(s.Layering.Pins, layering.Pin{Glob: glob, Layer: layer})
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
		s.Created, err = parseWhen(value)
	case "mtime":
		if s.MTime, err = parseWhen(value); err == nil {
			err = checkMTime(s.MTime)
		}
	case "uname":
		s.Uname, err = value, checkOwnerName(value)
	case "gname":
		s.Gname, err = value, checkOwnerName(value)
	case "conflicts":
		s.Conflicts, err = value, checkOneOf(value, ConflictsWarn, ConflictsError)
	case "join":
		s.Join, err = value, checkOneOf(value, JoinContents, JoinDirectories, JoinClosure)
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
	if near := fault.Nearest(s, values); near != "" {
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
