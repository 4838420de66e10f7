package image

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Platform is what an image runs on, in the words of GOOS and GOARCH as the
// image specification wants them.
type Platform struct {
	OS           string
	Architecture string
	Variant      string // of the processor, such as "v7"; may be empty
}

// Systems and architectures that an image can be for: what Go knows, less what
// cannot run in a container.
var (
	systems       = []string{"darwin", "freebsd", "linux", "netbsd", "openbsd", "solaris", "wasip1", "windows"}
	architectures = []string{"386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64", "ppc64le", "riscv64", "s390x", "wasm"}
)

var variantPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._]{0,31}$`)

// CheckOS reports whether s is an operating system that images are made for.
func CheckOS(s string) error {
	if !slices.Contains(systems, s) {
		return fmt.Errorf("unknown operating system %q: want one of %s", s, strings.Join(systems, ", "))
	}
	return nil
}

// CheckArchitecture reports whether s is an architecture, as GOARCH names it.
func CheckArchitecture(s string) error {
	if slices.Contains(architectures, s) {
		return nil
	}
	base, _, _ := strings.Cut(strings.ToLower(s), "-") // "x86_64-linux"
	if right := goName(base); right != "" {
		return fmt.Errorf("unknown architecture %q: images call it %s", s, right)
	}
	return fmt.Errorf("unknown architecture %q: want one of %s", s, strings.Join(architectures, ", "))
}

// goName returns what GOARCH calls an architecture that uname or Nix call s,
// or "".
func goName(s string) string {
	switch s {
	case "x86_64", "x64":
		return "amd64"
	case "i386", "i486", "i586", "i686", "x86":
		return "386"
	case "aarch64":
		return "arm64"
	case "armhf", "armv5tel", "armv6l", "armv7l", "armv7a":
		return "arm"
	case "loongarch64":
		return "loong64"
	case "mips64el":
		return "mips64le"
	case "mipsel":
		return "mipsle"
	case "powerpc64":
		return "ppc64"
	case "powerpc64le":
		return "ppc64le"
	}
	return ""
}

// CheckVariant reports whether s can be a variant of a processor.
func CheckVariant(s string) error {
	if !variantPattern.MatchString(s) {
		return fmt.Errorf("variant %q: want lower-case letters, digits, dot and underscore, such as v7", s)
	}
	return nil
}
