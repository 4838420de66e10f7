package image

import (
	"fmt"
	"regexp"
	"strings"
)

// Grammar of a reference, as docker's distribution/reference has it, for names
// that are lower-case already.
var (
	domainPattern = regexp.MustCompile(`^(?:(?:[a-z0-9]|[a-z0-9][a-z0-9-]*[a-z0-9])(?:\.(?:[a-z0-9]|[a-z0-9][a-z0-9-]*[a-z0-9]))*|\[[a-f0-9:]+\])(?::[0-9]+)?$`)
	partPattern   = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$`)
	tagPattern    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
	hexPattern    = regexp.MustCompile(`^[a-f0-9]{64}$`)
)

// maxNameLen is the length, in bytes, above which docker refuses a name with
// its registry in front.
const maxNameLen = 255

// Registry and name space that docker puts before a name without them.
const (
	defaultDomain    = "docker.io"
	legacyDomain     = "index.docker.io"
	defaultNamespace = "library"
)

// Reference names an image: a repository, with a registry in front or not, and
// a tag.
type Reference struct {
	Name string // as ParseName returns it
	Tag  string // as CheckTag accepts it
}

// ParseName returns s as the name of a repository: in lower case, as
// dockerTools does, and checked by docker's grammar. A registry in front is
// kept ("ghcr.io/x/y"); a tag or a digest behind is an error.
func ParseName(s string) (string, error) {
	name := strings.ToLower(s)
	domain, path := splitDomain(name)
	last := path[strings.LastIndexByte(path, '/')+1:]
	switch {
	case name == "":
		return "", fmt.Errorf("image name is empty")
	case strings.Contains(last, "@"):
		return "", fmt.Errorf("image name %q holds a digest: only a name is wanted", s)
	case strings.Contains(last, ":"):
		return "", fmt.Errorf("image name %q holds a tag: write it as the tag", s)
	case hexPattern.MatchString(name):
		return "", fmt.Errorf("image name %q: 64 hexadecimal digits are an image ID", s)
	case domain != "" && !domainPattern.MatchString(domain):
		return "", fmt.Errorf("image name %q: %q is no registry host", s, domain)
	}
	for part := range strings.SplitSeq(path, "/") {
		if !partPattern.MatchString(part) {
			return "", fmt.Errorf("image name %q: want lower-case letters and digits, with . _ __ or - between them, not %q", s, part)
		}
	}
	if n := len(normalize(name)); n > maxNameLen {
		return "", fmt.Errorf("image name %.40q…: %d characters with its registry: at most %d are allowed", s, n, maxNameLen)
	}
	return name, nil
}

// CheckTag reports whether s can be a tag: 1 to 128 letters, digits, "_", "."
// and "-", the first of them no "." and no "-".
func CheckTag(s string) error {
	if !tagPattern.MatchString(s) {
		return fmt.Errorf("tag %.140q: want 1 to 128 letters, digits and _ . -, not beginning with . or -", s)
	}
	return nil
}

// String returns "name:tag" with the name as the user wrote it: what docker
// lists.
func (r Reference) String() string { return r.Name + ":" + r.Tag }

// Full returns the reference with its registry spelled out, as containerd
// knows images: "hello:1" is "docker.io/library/hello:1".
func (r Reference) Full() string { return normalize(r.Name) + ":" + r.Tag }

// splitDomain cuts the registry from a name. As for docker, the first part is
// a registry only if it holds a dot or a colon, or is "localhost".
func splitDomain(name string) (domain, path string) {
	first, rest, found := strings.Cut(name, "/")
	if !found || !strings.ContainsAny(first, ".:") && first != "localhost" {
		return "", name
	}
	return first, rest
}

func normalize(name string) string {
	domain, path := splitDomain(name)
	if domain == "" || domain == legacyDomain {
		domain = defaultDomain
	}
	if domain == defaultDomain && !strings.Contains(path, "/") {
		path = defaultNamespace + "/" + path
	}
	return domain + "/" + path
}
