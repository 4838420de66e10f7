package builder

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"terrine/builder/layer/codec"
	"terrine/store/fault"
)

// ParseCompression reads how an archive is to be compressed: "none", "gzip" or
// "zstd", the last two with a level or not ("gzip:9"). Errors are of class
// fault.Usage and begin with s: what it is the value of is for the caller to say.
func ParseCompression(s string) (codec.Codec, error) {
	c, err := parseCompression(s)
	if err != nil {
		return codec.Codec{}, fault.New(fault.Usage, fmt.Errorf("%q: %w", s, err))
	}
	return c, nil
}

func parseCompression(s string) (codec.Codec, error) {
	name, text, hasLevel := strings.Cut(s, ":")
	level := codec.Default
	if hasLevel {
		n, err := strconv.Atoi(text)
		if err != nil || n == codec.Default {
			return codec.Codec{}, fmt.Errorf("level %q is no number above 0", text)
		}
		level = n
	}
	switch {
	case name == "gzip":
		return codec.Gzip(level)
	case name == "zstd":
		return codec.Zstd(level)
	case name == "none" && !hasLevel:
		return codec.None(), nil
	}
	return codec.Codec{}, errors.New("want none, gzip or zstd, with a level as in gzip:9 or without")
}

// CompressionByName returns how the extension of a file says that it is
// compressed: .tar is not; .tar.gz and .tgz, .tar.zst and .tzst are. ok is
// false for other names.
func CompressionByName(file string) (compression string, ok bool) {
	for _, ext := range [...]struct{ suffix, compression string }{
		{".tar", "none"}, {".tar.gz", "gzip"}, {".tgz", "gzip"}, {".tar.zst", "zstd"}, {".tzst", "zstd"},
	} {
		if strings.HasSuffix(strings.ToLower(file), ext.suffix) {
			return ext.compression, true
		}
	}
	return "", false
}
