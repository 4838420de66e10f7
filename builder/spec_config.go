package builder

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"terrine/store/fault"
)

// maxConfigText bounds a string in a config, in bytes: Linux starts no program
// with a longer argument or environment variable (MAX_ARG_STRLEN).
const maxConfigText = 128<<10 - 1

var (
	portPattern   = regexp.MustCompile(`^([1-9][0-9]{0,4})(?:-([1-9][0-9]{0,4}))?(?:/(?i:tcp|udp|sctp))?$`)
	userPattern   = regexp.MustCompile(`^(?:[^\s:/-][^\s:/]*(?::[^\s:/-][^\s:/]*)?)?$`)
	signalPattern = regexp.MustCompile(`^(?:[0-9]{1,2}|(?:SIG)?[A-Z][A-Z0-9]*(?:[+-][0-9]{1,2})?)$`)
	numberPattern = regexp.MustCompile(`^[0-9]+$`)
)

// maxUserID is the largest number that docker takes for a user or a group.
const maxUserID = math.MaxInt32

// config checks the config object and keeps its text, with sets spelt as OCI has
// them. Engines find most mistakes in it only when a container is started. Fields
// that are not known are kept as they are; null is as good as a field left out.
func (p *specParser) config(v *jsonValue, at string) error {
	if err := p.want(v, at, kindObject); err != nil {
		return err
	}
	table := p.configTable()
	for _, m := range v.members {
		here := joinPath(at, m.key)
		take, ok := table[m.key]
		if !ok {
			for known := range table {
				if strings.EqualFold(known, m.key) {
					return p.errorAt(m.off, here, fmt.Errorf("engines would take it for %q: write it so", known))
				}
			}
			if m.value.kind != kindNull && !slices.Contains(reservedFields, m.key) {
				p.warn(m.off, here, m.key, table)
			}
			continue
		}
		if m.value.kind == kindNull {
			continue
		}
		if err := take(m.value, here); err != nil {
			return err
		}
	}
	p.spec.Config = p.respelt(v)
	return nil
}

// respelling is text that stands for data[off:end] in the config that is kept.
type respelling struct {
	off, end int
	text     string
}

// respelt returns the text of v with its respellings.
func (p *specParser) respelt(v *jsonValue) []byte {
	var out []byte
	off := v.off
	for _, r := range p.respellings {
		out = append(append(out, p.data[off:r.off]...), r.text...)
		off = r.end
	}
	return append(out, p.data[off:v.end]...)
}

// reservedFields are those that the image specification has for the sake of
// what is there, and no engine reads.
var reservedFields = []string{"Memory", "MemorySwap", "CpuShares"}

// maxWarnings is how many of them anybody reads.
const maxWarnings = 20

// warn notes a field of the config that is not in the table of those known.
func (p *specParser) warn(off int, at, key string, table map[string]field) {
	if len(p.spec.Warnings) == maxWarnings {
		return
	}
	what := "no engine knows this field"
	if near := fault.Nearest(key, slices.Sorted(maps.Keys(table))); near != "" {
		what += fmt.Sprintf(": did you mean %q?", near)
	}
	p.spec.Warnings = append(p.spec.Warnings, p.errorAt(off, at, errors.New(what)).Error())
}

// configTable holds what is known of a config: the fields of the OCI image
// specification, and those that docker has beside them.
func (p *specParser) configTable() map[string]field {
	text := func(check func(string) error) field { return p.textInto(new(string), check) }
	texts := func(v *jsonValue, at string) error {
		_, err := p.texts(v, at, checkText)
		return err
	}
	truth := func(v *jsonValue, at string) error {
		_, err := p.truth(v, at)
		return err
	}
	t := map[string]field{
		"User":         text(checkUser),
		"ExposedPorts": p.keysOf(checkPort, strings.ToLower),
		"Env":          p.env,
		"Volumes":      p.keysOf(checkAbsolute, strings.Clone),
		"WorkingDir":   text(checkWorkingDir),
		"Labels":       func(v *jsonValue, at string) error { return p.labels(v, at, new(map[string]string)) },
		"StopSignal":   text(checkSignal),
		"Healthcheck":  p.healthcheck,
		"StopTimeout":  p.count(math.MaxInt32),
	}
	for _, name := range []string{"Entrypoint", "Cmd", "Shell", "OnBuild"} {
		t[name] = texts
	}
	for _, name := range []string{"Hostname", "Domainname", "MacAddress", "Image"} {
		t[name] = text(checkText)
	}
	for _, name := range []string{"ArgsEscaped", "NetworkDisabled", "AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce"} {
		t[name] = truth
	}
	return t
}

// count is a field that is a whole number from 0 to high.
func (p *specParser) count(high int64) field {
	return func(v *jsonValue, at string) error {
		_, err := p.number(v, at, 0, high)
		return err
	}
}

// keysOf is a set as OCI writes it: an object whose keys check accepts, and
// whose values are objects. As docker does, it takes null for an empty one; keys
// are kept as spell has them.
func (p *specParser) keysOf(check func(string) error, spell func(string) string) field {
	return func(v *jsonValue, at string) error {
		if err := p.want(v, at, kindObject); err != nil {
			return err
		}
		first := make(map[string]string, len(v.members))
		for _, m := range v.members {
			here := joinPath(at, m.key)
			if err := check(m.key); err != nil {
				return p.errorAt(m.off, here, err)
			}
			key := spell(m.key)
			if other, ok := first[key]; ok {
				return p.errorAt(m.off, here, fmt.Errorf("it is the same as %q", other))
			}
			first[key] = m.key
			if err := p.want(m.value, here, kindObject, kindNull); err != nil {
				return err
			}
			if key != m.key {
				p.respellings = append(p.respellings, respelling{m.off, m.value.off, strconv.Quote(key) + ":"})
			}
			if m.value.kind == kindNull {
				p.respellings = append(p.respellings, respelling{m.value.off, m.value.end, "{}"})
			}
		}
		return nil
	}
}

// env takes an array of KEY=VALUE, no key twice.
func (p *specParser) env(v *jsonValue, at string) error {
	entries, err := p.texts(v, at, checkEnv)
	if err != nil {
		return err
	}
	first := make(map[string]int, len(entries))
	for i, entry := range entries {
		key, _, _ := strings.Cut(entry, "=")
		if j, ok := first[key]; ok {
			return p.errorAt(v.items[i].off, indexPath(at, i), fmt.Errorf("variable %s is set by %s already", key, indexPath(at, j)))
		}
		first[key] = i
	}
	return nil
}

// labels takes an object of strings. Its keys are not empty.
func (p *specParser) labels(v *jsonValue, at string, to *map[string]string) error {
	if err := p.want(v, at, kindObject); err != nil {
		return err
	}
	labels := make(map[string]string, len(v.members))
	for _, m := range v.members {
		here := joinPath(at, m.key)
		if err := checkLabelName(m.key); err != nil {
			return p.errorAt(m.off, here, err)
		}
		var err error
		if labels[m.key], err = p.text(m.value, here, checkText); err != nil {
			return err
		}
	}
	*to = labels
	return nil
}

// healthcheck takes docker's HEALTHCHECK. Durations are in nanoseconds.
func (p *specParser) healthcheck(v *jsonValue, at string) error {
	duration := func(v *jsonValue, at string) error {
		n, err := p.number(v, at, 0, math.MaxInt64)
		if err == nil && n != 0 && n < 1e6 {
			err = p.errorAt(v.off, at, fmt.Errorf("%d nanoseconds: docker takes 0 or at least a millisecond, 1000000", n))
		}
		return err
	}
	return p.fields(v, at, map[string]field{
		"Test":          p.healthTest,
		"Interval":      duration,
		"Timeout":       duration,
		"StartPeriod":   duration,
		"StartInterval": duration,
		"Retries":       p.count(math.MaxInt32),
	})
}

func (p *specParser) healthTest(v *jsonValue, at string) error {
	test, err := p.texts(v, at, checkText)
	if err != nil || len(test) == 0 {
		return err
	}
	switch n := len(test); {
	case test[0] == "NONE" && n == 1, test[0] == "CMD" && n > 1, test[0] == "CMD-SHELL" && n == 2:
		return nil
	}
	return p.errorAt(v.off, at, errors.New(`want ["NONE"], ["CMD", program, …] or ["CMD-SHELL", command]`))
}

func checkLabelName(s string) error {
	if s == "" {
		return errors.New("the key is empty")
	}
	return checkText(s)
}

// checkText refuses what no string of a config can hold: NUL, which no
// argument of a program can hold, other control characters, which terminals
// obey, what JSON cannot write, and more bytes than the kernel takes.
func checkText(s string) error {
	switch {
	case len(s) > maxConfigText:
		return fmt.Errorf("%d bytes: at most %d are allowed", len(s), maxConfigText)
	case !utf8.ValidString(s):
		return fmt.Errorf("%.60q is not UTF-8", s)
	}
	for _, r := range s {
		if r == 0 {
			return errors.New("NUL cannot stand in it")
		}
		if isControl(r) {
			return fmt.Errorf("control character %U cannot stand in it", r)
		}
	}
	return nil
}

// isControl reports whether r is a control character other than tab, newline
// and carriage return.
func isControl(r rune) bool {
	return r < utf8.RuneSelf && r < ' ' && r != '\t' && r != '\n' && r != '\r' || r >= 0x7f && r <= 0x9f
}

func checkEnv(s string) error {
	key, _, ok := strings.Cut(s, "=")
	switch {
	case !ok:
		return fmt.Errorf("%.60q is not of the form KEY=VALUE", s)
	case key == "":
		return fmt.Errorf("%.60q has no key before the =", s)
	case strings.ContainsAny(key, " \t\r\n"):
		return fmt.Errorf("key %.60q holds a space", key)
	}
	return checkText(s)
}

func checkPort(s string) error {
	m := portPattern.FindStringSubmatch(s)
	if m == nil {
		return fmt.Errorf("%q is no port: want PORT, PORT/tcp, PORT/udp or PORT/sctp", s)
	}
	from, _ := strconv.Atoi(m[1])
	to := from
	if m[2] != "" {
		to, _ = strconv.Atoi(m[2])
	}
	if from > to || to > 65535 {
		return fmt.Errorf("%q is no port: ports go from 1 to 65535", s)
	}
	return nil
}

func checkUser(s string) error {
	if err := checkText(s); err != nil {
		return err
	}
	if !userPattern.MatchString(s) {
		return fmt.Errorf("%.80q is no user: want USER, UID, USER:GROUP or UID:GID", s)
	}
	for part := range strings.SplitSeq(s, ":") {
		if n, err := strconv.ParseUint(part, 10, 64); numberPattern.MatchString(part) && (err != nil || n > maxUserID) {
			return fmt.Errorf("ID %.40s is more than %d", part, maxUserID)
		}
	}
	return nil
}

func checkAbsolute(s string) error {
	if !path.IsAbs(s) {
		return fmt.Errorf("%.200q is not an absolute path", s)
	}
	return checkText(s)
}

// checkWorkingDir takes an empty string as docker does: the root.
func checkWorkingDir(s string) error {
	if s == "" {
		return nil
	}
	return checkAbsolute(s)
}

func checkSignal(s string) error {
	if !signalPattern.MatchString(s) {
		return fmt.Errorf("%.40q is no signal: want a name like SIGTERM or a number", s)
	}
	return nil
}
